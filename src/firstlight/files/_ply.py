"""The .ply layout of Kerbl et al. 2023, which nearly every splat program reads.

Properties are found by name, so files with fewer or more of them, in another order, type or byte order
are read too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from firstlight.errors import InputError
from firstlight.files._blocks import Array, blocks, empty, repaired, views
from firstlight.files._ply_header import BYTE_ORDER, Element, Header, check_size, read_header
from firstlight.files._rows import fill_from_text
from firstlight.files.atomic import atomic_write
from firstlight.scene import Gaussians
from firstlight.scene.sh import MAX_DEGREE, sh_count


def write_ply(gaussians: Gaussians, path: Path) -> None:
    """Write the binary little-endian layout, 62 floats a Gaussian at degree 3; nothing but it."""
    columns = ply_columns(gaussians)
    # The order of the original program, normals included: some readers go by offset.
    names = ["x", "y", "z", "nx", "ny", "nz"]
    names += [name for name in columns if name not in names]
    dtype = np.dtype([(name, "<f4") for name in names])
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(gaussians)}"]
    lines += [*(f"property float {name}" for name in names), "end_header", ""]
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join(lines).encode())
        for rows in blocks(len(gaussians)):
            block = np.zeros(rows.stop - rows.start, dtype)
            for name, column in columns.items():
                block[name] = column[rows]
            file.write(block.tobytes())


def read_ply(path: Path) -> Gaussians:
    """Read Gaussians (float32); InputError when the file cannot be used."""
    with path.open("rb") as file:
        header = read_header(file, path)
        vertex, offset = _find_vertices(header, path)
        if vertex.count == 0:
            raise InputError(f"{path}: the file holds no Gaussians.")
        mesh = any(element.name == "face" for element in header.elements)
        degree = degree_of_columns(vertex.properties.keys(), path, "a mesh" if mesh else "a point cloud")
        check_size(header, vertex, f"{vertex.count} Gaussians", path)
        scene = empty(vertex.count, degree)
        if header.encoding == "ascii":
            for element in header.elements[: header.elements.index(vertex)]:
                for _ in range(element.count):
                    file.readline()
            fill_from_text(file, list(vertex.properties), ply_columns(scene), path)
        else:
            file.seek(offset)
            _fill_from_bytes(file, vertex.dtype(BYTE_ORDER[header.encoding]), ply_columns(scene), path)
    return repaired(scene, path)


def ply_columns(scene: Gaussians) -> dict[str, Array]:
    """Property name → the column of ``scene`` that it stands for, as a view: good to read and to write."""
    arrays = views(scene)
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


def degree_of_columns(present: Iterable[str], path: Path, otherwise: str) -> int:
    """The degree of the spherical harmonics that columns of these names hold.

    InputError naming what is missing; ``otherwise`` says what a file of places without splats is.
    """
    present = set(present)
    required = [name for name in ply_columns(empty(0, 0)) if name not in present]
    if not present & {"opacity", "scale_0", "rot_0"} and {"x", "y", "z"} <= present:
        raise InputError(f"{path}: {otherwise}, not Gaussian splats: it has no {', '.join(required)}.")
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


def _find_vertices(header: Header, path: Path) -> tuple[Element, int]:
    """The element with the Gaussians, and (in binary files) where its rows begin."""
    names = [element.name for element in header.elements]
    if "vertex" not in names:
        raise InputError(
            f"{path}: no 'vertex' element, so no Gaussians. It has: {', '.join(names) or 'none'}."
        )
    before = header.elements[: names.index("vertex")]
    vertex = header.elements[len(before)]
    if vertex.lists or (header.encoding != "ascii" and any(element.lists for element in before)):
        raise InputError(f"{path}: list properties among or before the vertices: not a Gaussian splat file.")
    return vertex, header.size + sum(element.count * element.dtype("=").itemsize for element in before)


def _fill_from_bytes(
    file: IO[bytes], dtype: np.dtype[np.void], columns: dict[str, Array], path: Path
) -> None:
    with np.errstate(over="ignore"):  # a double too large for float32 becomes infinite, and is refused
        for rows in blocks(len(columns["x"])):
            data = file.read((rows.stop - rows.start) * dtype.itemsize)
            if len(data) < (rows.stop - rows.start) * dtype.itemsize:
                raise InputError(f"{path}: the file became shorter while it was read.")
            block = np.frombuffer(data, dtype)
            for name, column in columns.items():
                column[rows] = block[name]
