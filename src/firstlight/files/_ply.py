"""The .ply layout of Kerbl et al. 2023, which nearly every splat program reads.

Properties are found by name, so files with fewer or more of them, in another order, type or byte order
are read too. A header is only believed as far as the file is long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any
from warnings import catch_warnings, simplefilter

import numpy as np
import numpy.typing as npt
import torch

from firstlight.errors import InputError
from firstlight.files.atomic import atomic_write
from firstlight.scene import Gaussians
from firstlight.scene.sh import MAX_DEGREE, sh_count

Column = npt.NDArray[Any]

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
BYTE_ORDER = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}

# Real headers have some 70 short lines. The bounds keep a hostile one from eating memory.
MAX_LINE = 4096  # bytes
MAX_LINES = 4096

# Rows handled at once: a block of them stays in the cache while its columns are picked out of it.
BLOCK = 4096

# Some writers store log 0 for a flat splat and logit 1 for an opaque one; these are as good.
MIN_LOG_SCALE = -20.0
MAX_LOGIT = 13.815510557964274  # logit(1 − 1e-6)


@dataclass
class Element:
    """A table of the file, as the header announces it."""

    name: str
    count: int
    properties: dict[str, str] = field(default_factory=dict)  # name → numpy type without byte order
    lists: bool = False  # has properties of varying length

    def dtype(self, order: str) -> np.dtype[np.void]:
        return np.dtype([(name, order + kind) for name, kind in self.properties.items()])


@dataclass
class Header:
    """What stands before the data."""

    encoding: str
    elements: list[Element]
    size: int  # bytes


def write_ply(gaussians: Gaussians, path: Path) -> None:
    """Write the binary little-endian layout, 62 floats a Gaussian at degree 3; nothing but it."""
    scene = gaussians.detach().to(torch.float32)
    columns = _columns(scene)
    # The order of the original program, normals included: some readers go by offset.
    names = ["x", "y", "z", "nx", "ny", "nz"]
    names += [name for name in columns if name not in names]
    dtype = np.dtype([(name, "<f4") for name in names])
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(scene)}"]
    lines += [*(f"property float {name}" for name in names), "end_header", ""]
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join(lines).encode())
        for start, stop in _blocks(len(scene)):
            block = np.zeros(stop - start, dtype)
            for name, column in columns.items():
                block[name] = column[start:stop]
            file.write(block.tobytes())


def read_ply(path: Path) -> Gaussians:
    """Read Gaussians (float32); InputError when the file cannot be used."""
    with path.open("rb") as file:
        header = _read_header(file, path)
        vertex, offset = _find_vertices(header, path)
        degree = _check_layout(vertex, header, path)
        _check_size(header, vertex, path)
        scene = _empty(vertex.count, degree)
        columns = _columns(scene)
        if header.encoding == "ascii":
            _fill_from_text(file, header, vertex, columns, path)
        else:
            file.seek(offset)
            _fill_from_bytes(file, vertex.dtype(BYTE_ORDER[header.encoding]), columns, path)
    return _checked(scene, path)


def _columns(scene: Gaussians) -> dict[str, Column]:
    """Property name → the column of ``scene`` that it stands for, as a view: good to read and to write."""
    arrays = {name: tensor.numpy() for name, tensor in scene.tensors().items()}
    sh = arrays["sh"]  # [N, K, 3]
    rest = sh.shape[1] - 1
    columns = {axis: arrays["means"][:, i] for i, axis in enumerate("xyz")}
    columns |= {f"f_dc_{c}": sh[:, 0, c] for c in range(3)}
    # The file holds all coefficients of red, then green, then blue.
    columns |= {f"f_rest_{c * rest + k}": sh[:, 1 + k, c] for c in range(3) for k in range(rest)}
    columns["opacity"] = arrays["logit_opacities"]
    columns |= {f"scale_{i}": arrays["log_scales"][:, i] for i in range(3)}
    columns |= {f"rot_{i}": arrays["quats"][:, i] for i in range(4)}
    return columns


def _empty(count: int, degree: int) -> Gaussians:
    shapes = ((3,), (4,), (3,), (), (sh_count(degree), 3))
    return Gaussians(*(torch.empty(count, *shape) for shape in shapes))


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, BLOCK):
        yield start, min(start + BLOCK, count)


def _read_header(file: IO[bytes], path: Path) -> Header:
    if _read_line(file, path) != "ply":
        raise InputError(f"{path}: not a .ply file (it does not begin with 'ply').")
    encoding, elements = "", list[Element]()
    for _ in range(MAX_LINES):
        line = _read_line(file, path)
        match line.split():
            case ["end_header"]:
                if not encoding:
                    raise InputError(f"{path}: the .ply header has no format line.")
                return Header(encoding, elements, file.tell())
            case [] | ["comment", *_] | ["obj_info", *_]:
                pass
            case ["format", name, _] if name in BYTE_ORDER:
                encoding = name
            case ["element", name, count] if count.isascii() and count.isdigit() and len(count) <= 18:
                elements.append(Element(name, int(count)))
            case ["property", "list", _, _, _] if elements:
                elements[-1].lists = True
            case ["property", kind, name] if kind in TYPES and elements:
                if name in elements[-1].properties:
                    raise InputError(f"{path}: the .ply header names the property {name} twice.")
                elements[-1].properties[name] = TYPES[kind]
            case _:
                raise InputError(f"{path}: a .ply header line cannot be understood: {line[:80]!r}.")
    raise InputError(f"{path}: the .ply header does not end within {MAX_LINES} lines.")


def _read_line(file: IO[bytes], path: Path) -> str:
    line = file.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        raise InputError(f"{path}: the .ply header is cut short or has a line of over {MAX_LINE} bytes.")
    return line.decode("latin-1").rstrip("\r\n")  # comments may hold anything


def _find_vertices(header: Header, path: Path) -> tuple[Element, int]:
    """The element with the Gaussians, and (in binary files) where its rows begin."""
    names = [element.name for element in header.elements]
    if "chunk" in names:
        raise InputError(
            f"{path}: a compressed .ply (PlayCanvas), which firstlight does not read. "
            "Turn it into a plain .ply first, for instance with splat-transform."
        )
    if "vertex" not in names:
        raise InputError(
            f"{path}: no 'vertex' element, so no Gaussians. It has: {', '.join(names) or 'none'}."
        )
    before = header.elements[: names.index("vertex")]
    vertex = header.elements[len(before)]
    if vertex.lists or (header.encoding != "ascii" and any(element.lists for element in before)):
        raise InputError(f"{path}: list properties among or before the vertices: not a Gaussian splat file.")
    return vertex, header.size + sum(element.count * element.dtype("=").itemsize for element in before)


def _check_layout(vertex: Element, header: Header, path: Path) -> int:
    """The degree of the spherical harmonics; InputError naming what is missing."""
    present = vertex.properties.keys()
    required = [name for name in _columns(_empty(0, 0)) if name not in present]
    if not present & {"opacity", "scale_0", "rot_0"} and {"x", "y", "z"} <= present:
        kind = "a mesh" if any(element.name == "face" for element in header.elements) else "a point cloud"
        raise InputError(f"{path}: {kind}, not Gaussian splats: it has no {', '.join(required)}.")
    if required:
        flat = (
            " It looks like 2D Gaussians, which firstlight does not read." if required == ["scale_2"] else ""
        )
        raise InputError(f"{path}: properties are missing: {', '.join(required)}.{flat}")
    rest = {name for name in present if name.startswith("f_rest_")}
    for degree in range(MAX_DEGREE + 1):
        if rest == {f"f_rest_{i}" for i in range(3 * (sh_count(degree) - 1))}:
            return degree
    raise InputError(
        f"{path}: {len(rest)} f_rest properties: expected f_rest_0 onwards, "
        f"{', '.join(str(3 * (sh_count(d) - 1)) for d in range(MAX_DEGREE + 1))} of them."
    )


def _check_size(header: Header, vertex: Element, path: Path) -> None:
    """Nothing is allocated for rows that the file has no room for."""
    if vertex.count == 0:
        raise InputError(f"{path}: the file holds no Gaussians.")
    held = path.stat().st_size - header.size
    needed = 0
    for element in header.elements:
        if header.encoding == "ascii":  # at least one digit and one separator a value, and none at the end
            needed += element.count * 2 * max(len(element.properties), 1)
        else:
            needed += element.count * element.dtype("=").itemsize
        if element is vertex:
            break
    if needed - (header.encoding == "ascii") > held:
        raise InputError(
            f"{path}: the header promises {vertex.count} Gaussians, at least {needed} bytes, but only {held} "
            "follow. The file is cut short or damaged: copy or export it again."
        )


def _fill_from_bytes(
    file: IO[bytes], dtype: np.dtype[np.void], columns: dict[str, Column], path: Path
) -> None:
    with np.errstate(over="ignore"):  # a double too large for float32 becomes infinite, and is refused
        for start, stop in _blocks(len(columns["x"])):
            data = file.read((stop - start) * dtype.itemsize)
            if len(data) < (stop - start) * dtype.itemsize:
                raise InputError(f"{path}: the file became shorter while it was read.")
            block = np.frombuffer(data, dtype)
            for name, column in columns.items():
                column[start:stop] = block[name]


def _fill_from_text(
    file: IO[bytes], header: Header, vertex: Element, columns: dict[str, Column], path: Path
) -> None:
    for element in header.elements[: header.elements.index(vertex)]:
        for _ in range(element.count):
            file.readline()
    names = list(vertex.properties)
    with catch_warnings(), np.errstate(over="ignore"):
        simplefilter("ignore")  # numpy warns of no rows; the count below says it
        for start, stop in _blocks(vertex.count):
            lines = (line.decode("latin-1") for line in islice(file, stop - start))
            try:
                rows = np.loadtxt(lines, np.float64, comments=None, ndmin=2)
            except ValueError as error:
                raise InputError(f"{path}: a row of the file is not numbers ({error}).") from error
            if rows.shape != (stop - start, len(names)):
                raise InputError(
                    f"{path}: expected {vertex.count} rows of {len(names)} numbers, "
                    f"found {rows.shape[0]} of {rows.shape[1]} after row {start}."
                )
            for name, column in columns.items():
                column[start:stop] = rows[:, names.index(name)]


def _checked(scene: Gaussians, path: Path) -> Gaussians:
    """Repair what is harmless, refuse what is not."""
    scene.log_scales[scene.log_scales == -torch.inf] = MIN_LOG_SCALE
    scene.logit_opacities.nan_to_num_(torch.nan, MAX_LOGIT, -MAX_LOGIT)
    scene.quats[(scene.quats == 0).all(1), 0] = 1.0  # no rotation at all is no turn
    broken = int((~scene.finite()).sum())
    if broken:
        nowhere = int((~scene.means.isfinite().all(1)).sum())
        raise InputError(
            f"{path}: {broken} of {len(scene)} Gaussians hold NaN or infinity, {nowhere} of them in their "
            "positions. The program that made the file went wrong: export it again."
        )
    return scene
