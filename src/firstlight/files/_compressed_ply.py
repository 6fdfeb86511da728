"""PlayCanvas's compressed .ply: 256 Gaussians a chunk, their numbers between the chunk's extremes.

16 bytes a Gaussian, 72 a chunk, and a byte a harmonic. What it can hold: 11, 10 and 11 bits a chunk's side
for places and log-scales (those within ±20), ±4 in steps of 1/32 for harmonics up to degree 3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from firstlight.errors import InputError
from firstlight.files._blocks import Array, blocks, byte_to_logit, empty, repaired, views
from firstlight.files._order import morton_order
from firstlight.files._ply_header import Element, Header, check_size, read_header
from firstlight.files._smallest_three import join_largest, to_word
from firstlight.files.atomic import atomic_write
from firstlight.scene import Gaussians
from firstlight.scene.sh import C0, sh_count

MAX_DEGREE = 3
CHUNK = 256
MAX_LOG_SCALE = 20.0

# The chunk's columns come as minima and maxima of each of these; old files have no colours, which then
# lie between 0 and 1.
BOUNDED = (("x", "y", "z"), ("scale_x", "scale_y", "scale_z"), ("r", "g", "b"))
CHUNK_COLUMNS = [f"{end}_{name}" for names in BOUNDED for end in ("min", "max") for name in names]
VERTEX_COLUMNS = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]


def write_compressed_ply(gaussians: Gaussians, path: Path) -> None:
    """Write in Morton order; degree 4 is cut to 3."""
    arrays = views(gaussians.with_degree(min(gaussians.degree, MAX_DEGREE)))
    count, rest = len(gaussians), arrays["sh"].shape[1] - 1
    order = morton_order(arrays["means"])
    chunks = np.empty((-(-count // CHUNK), len(CHUNK_COLUMNS)), "<f4")
    packed = np.empty((count, 4), "<u4")
    harmonics = np.empty((count, 3 * rest), np.uint8)
    for rows in blocks(count):
        block = {name: array[order[rows]] for name, array in arrays.items()}
        own = slice(rows.start // CHUNK, -(-rows.stop // CHUNK))
        chunks[own], packed[rows] = _pack(block)
        harmonics[rows] = _pack_sh(block["sh"][:, 1:])
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(_header(len(chunks), count, harmonics.shape[1]))
        for table in (chunks, packed, harmonics):
            file.write(table.data)


def read_compressed_ply(path: Path) -> Gaussians:
    """Read Gaussians (float32); InputError when the file cannot be used."""
    with path.open("rb") as file:
        header = read_header(file, path)
    vertex, harmonics = _elements(header, path)
    needed = {"chunk", "vertex", "sh"}
    last = [element for element in header.elements if element.name in needed][-1]
    check_size(header, last, f"{vertex.count} Gaussians", path)
    tables = dict[str, Array]()
    offset = header.size
    for element in header.elements[: header.elements.index(last) + 1]:
        dtype = element.dtype("<")
        if element.count and dtype.itemsize:
            tables[element.name] = np.memmap(path, dtype, "r", offset, (element.count,))
        offset += element.count * dtype.itemsize
    rest = len(harmonics.properties) // 3 if harmonics else 0
    scene = empty(vertex.count, next(d for d in range(MAX_DEGREE + 1) if sh_count(d) == rest + 1))
    arrays = views(scene)
    for rows in blocks(vertex.count):
        own = tables["chunk"][rows.start // CHUNK : -(-rows.stop // CHUNK)]
        for name, values in _unpack(own, tables["vertex"][rows]).items():
            if name != "sh":
                arrays[name][rows] = values
            else:
                arrays["sh"][rows, 0] = values
        if harmonics:
            columns = [tables["sh"][f"f_rest_{i}"][rows] for i in range(3 * rest)]
            arrays["sh"][rows, 1:] = _unpack_sh(np.stack(columns, 1))
    return repaired(scene, path)


def is_compressed(start: bytes) -> bool:
    """Whether a file that begins so is of this kind rather than a plain .ply."""
    return start.startswith(b"ply") and b"\nelement chunk " in start


def _header(chunks: int, count: int, harmonics: int) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", f"element chunk {chunks}"]
    lines += [f"property float {name}" for name in CHUNK_COLUMNS]
    lines += [f"element vertex {count}", *(f"property uint {name}" for name in VERTEX_COLUMNS)]
    if harmonics:
        lines += [f"element sh {count}", *(f"property uchar f_rest_{i}" for i in range(harmonics))]
    return "\n".join([*lines, "end_header", ""]).encode()


def _elements(header: Header, path: Path) -> tuple[Element, Element | None]:
    """Vertices and harmonics; InputError where they are not as they must be."""
    found = {element.name: element for element in header.elements}
    wanted = {
        "chunk": dict.fromkeys(CHUNK_COLUMNS[: 18 if _has_colours(found) else 12], "f4"),
        "vertex": dict.fromkeys(VERTEX_COLUMNS, "u4"),
    }
    if header.encoding != "binary_little_endian":
        raise InputError(f"{path}: a compressed .ply must be binary_little_endian, not {header.encoding}.")
    if len(found) < len(header.elements) or any(element.lists for element in header.elements):
        raise InputError(f"{path}: an element named twice, or lists, in a compressed .ply.")
    for name, columns in wanted.items():
        if name not in found or not columns.items() <= found[name].properties.items():
            raise InputError(
                f"{path}: a compressed .ply must have an element {name} with {', '.join(columns)}."
            )
    chunk, vertex, harmonics = found["chunk"], found["vertex"], found.get("sh")
    if vertex.count == 0:
        raise InputError(f"{path}: the file holds no Gaussians.")
    if chunk.count * CHUNK < vertex.count:
        raise InputError(f"{path}: {chunk.count} chunks of {CHUNK} are too few for {vertex.count} Gaussians.")
    if harmonics is not None:
        columns = {f"f_rest_{i}": "u1" for i in range(len(harmonics.properties))}
        if harmonics.properties != columns or len(columns) not in (9, 24, 45):
            raise InputError(f"{path}: the element sh must have 9, 24 or 45 uchar f_rest_0 onwards.")
        if harmonics.count != vertex.count:
            raise InputError(f"{path}: {vertex.count} vertices but {harmonics.count} rows of harmonics.")
    return vertex, harmonics


def _has_colours(found: dict[str, Element]) -> bool:
    return "chunk" in found and "min_r" in found["chunk"].properties


def _pack(block: dict[str, Array]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]:
    """Rows of a block, whole chunks but for the last → chunk extremes [C, 18], packed words [n, 4]."""
    log_scales = np.clip(block["log_scales"], -MAX_LOG_SCALE, MAX_LOG_SCALE)
    colours = 0.5 + C0 * block["sh"][:, 0]
    extremes, units = [], []
    for values in (block["means"], log_scales, colours):
        low, high = _extremes(values)
        extremes += [low, high]
        units.append(_to_unit(values, low, high))
    rgba = np.concatenate([units[2], expit(block["logit_opacities"])[:, None]], 1)
    words = [
        _pack_bits(units[0], (11, 10, 11)),
        to_word(block["quats"]),
        _pack_bits(units[1], (11, 10, 11)),
        _pack_bits(rgba, (8, 8, 8, 8)),
    ]
    return np.concatenate(extremes, 1), np.stack(words, 1)


def _extremes(values: Array) -> tuple[Array, Array]:
    """Least and greatest [C, 3] of each chunk of rows [n, 3], float32 as the file keeps them."""
    starts = np.arange(0, len(values), CHUNK)
    return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def _of_row(extreme: Array, count: int) -> Array:
    return np.repeat(extreme, CHUNK, 0)[:count].astype(np.float64)


def _to_unit(values: Array, low: Array, high: Array) -> Array:
    a, b = _of_row(low, len(values)), _of_row(high, len(values))
    return (values - a) / np.where(b > a, b - a, 1)


def _pack_bits(units: Array, widths: tuple[int, ...]) -> npt.NDArray[np.uint32]:
    """Numbers in [0, 1] [n, m] → one word a row, the first in the highest bits."""
    word = np.zeros(len(units), np.uint32)
    for unit, width in zip(units.T, widths, strict=True):
        word = word << np.uint32(width) | np.rint(unit * (2**width - 1)).astype(np.uint32)
    return word


def _unpack_bits(word: Array, widths: tuple[int, ...]) -> npt.NDArray[np.float64]:
    shifts = np.cumsum((0, *widths[:0:-1]))[::-1]
    return np.stack(
        [
            (word >> np.uint32(s) & np.uint32(2**w - 1)) / (2**w - 1)
            for s, w in zip(shifts, widths, strict=True)
        ],
        1,
    )


def _unpack(chunk: Array, vertex: Array) -> dict[str, Any]:
    """Chunks and rows of the file → tensors' names and their rows; ``sh`` is degree 0 alone."""
    count = len(vertex)
    bounds = list[Array]()
    for names in BOUNDED:
        for end, otherwise in (("min", 0.0), ("max", 1.0)):
            columns = [f"{end}_{name}" for name in names]
            known = all(name in (chunk.dtype.names or ()) for name in columns)
            values = [chunk[name] if known else np.full(len(chunk), otherwise) for name in columns]
            bounds.append(_of_row(np.stack(values, 1), count))
    rgba = _unpack_bits(vertex["packed_color"], (8, 8, 8, 8))
    units = [_unpack_bits(vertex[f"packed_{name}"], (11, 10, 11)) for name in ("position", "scale")]
    with np.errstate(over="ignore", invalid="ignore"):  # hostile bounds; the finished scene is checked
        means, log_scales, colours = (
            low + unit * (high - low)
            for unit, low, high in zip((*units, rgba[:, :3]), bounds[::2], bounds[1::2], strict=True)
        )
    others = (_unpack_bits(vertex["packed_rotation"] & np.uint32(2**30 - 1), (10, 10, 10)) - 0.5) * np.sqrt(2)
    return {
        "means": means,
        "log_scales": log_scales,
        "quats": join_largest(vertex["packed_rotation"] >> np.uint32(30), others),
        "logit_opacities": byte_to_logit(vertex["packed_color"] & np.uint32(255)),
        "sh": (colours - 0.5) / C0,
    }


def _pack_sh(rest: Array) -> npt.NDArray[np.uint8]:
    """Harmonics [n, K, 3] → bytes [n, 3K], all of red first."""
    flat = rest.transpose(0, 2, 1).reshape(len(rest), -1)
    return np.clip(np.floor((flat / 8 + 0.5) * 256), 0, 255).astype(np.uint8)


def _unpack_sh(flat: Array) -> npt.NDArray[np.float64]:
    unit = (flat + 0.5) / 256
    unit[flat == 0], unit[flat == 255] = 0, 1
    return ((unit - 0.5) * 8).reshape(len(flat), 3, -1).transpose(0, 2, 1)
