"""Coloured points from a .ply: what nerfstudio keeps beside a transforms.json."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from firstlight.capture._colmap import FAR
from firstlight.errors import InputError
from firstlight.scene import Points

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_FULL = {"u1": 255, "u2": 65535, "f4": 1, "f8": 1}  # the brightest a colour of that type can be
_COLOURS = ("red", "green", "blue")
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_MAX_HEADER = 65536
_WAY_OUT = "Make it again, or take ply_file_path out of the transforms.json."


def read_ply_points(path: Path) -> Points:
    """The vertices of ``path``, grey where it has no colours; InputError when it cannot be used."""
    try:
        data = path.read_bytes()
        encoding, count, fields, start = _header(data)
        table = _rows(data[start:], encoding, count, fields)
        rgb = _colours(table, count, fields)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}. {_WAY_OUT}") from error
    xyz = np.stack([table[axis].astype(np.float64) for axis in "xyz"], -1)
    keep = (np.abs(xyz) < FAR).all(-1)
    return Points(
        xyz=torch.from_numpy(xyz[keep]),
        rgb=torch.from_numpy(rgb[keep]),
        error=torch.full((int(keep.sum()),), torch.nan, dtype=torch.float64),
    )


def _colours(
    table: dict[str, npt.NDArray[np.generic]], count: int, fields: dict[str, str]
) -> npt.NDArray[np.uint8]:
    """sRGB [count, 3], from whatever type the header declares, grey where it declares none."""
    if not fields.keys() >= set(_COLOURS):
        return np.full((count, 3), 128, np.uint8)
    return np.stack([_eight_bits(table[name], fields[name][-2:]) for name in _COLOURS], -1)


def _eight_bits(values: npt.NDArray[np.generic], kind: str) -> npt.NDArray[np.uint8]:
    if kind not in _FULL:
        raise ValueError(
            f"its colours are {np.dtype(kind).name}, which does not tell how bright the brightest is "
            "(uchar, ushort, float and double do)"
        )
    share = np.clip(values.astype(np.float64), 0, _FULL[kind]) / _FULL[kind]
    return np.nan_to_num(255 * share).round().astype(np.uint8)


def _header(data: bytes) -> tuple[str, int, dict[str, str], int]:
    """Encoding, number of vertices, property → numpy type, and where the rows begin."""
    end = data.find(b"end_header", 0, _MAX_HEADER)
    line_end = data.find(b"\n", end)
    if not data.startswith(b"ply") or end < 0 or line_end < 0:
        raise ValueError("not a .ply file, or its header is cut short")
    encoding, count, types, elements = "", -1, dict[str, str](), list[str]()
    for line in data[:end].decode("latin-1").splitlines():
        match line.split():
            case ["format", name, _] if name in _ORDERS:
                encoding = name
            case ["element", name, number]:
                elements.append(name)
                if name == "vertex" and number.isdecimal() and len(number) < 19:
                    count = int(number)
            case ["property", kind, name] if elements == ["vertex"] and kind in _TYPES and name not in types:
                types[name] = _TYPES[kind]
            case ["property", *_] if elements == ["vertex"]:
                raise ValueError(f"the vertex property {line.strip()[:60]!r} cannot be read")
    if not encoding or count < 0 or elements[:1] != ["vertex"] or not {"x", "y", "z"} <= types.keys():
        raise ValueError("its header does not announce vertices with x, y and z")
    fields = {name: _ORDERS[encoding] + kind for name, kind in types.items()}
    return encoding, count, fields, line_end + 1


def _rows(
    body: bytes, encoding: str, count: int, fields: dict[str, str]
) -> dict[str, npt.NDArray[np.generic]]:
    if encoding == "ascii":
        if count * 2 * len(fields) > len(body) + 1:  # a digit and a space are the least a value takes
            raise ValueError(f"its header promises {count} vertices, more than the file can hold")
        lines = io.StringIO(body.decode("latin-1"))
        values = [line.split() for line, _ in zip(lines, range(count), strict=False)]
        if len(values) < count or any(len(row) != len(fields) for row in values):
            raise ValueError(
                f"its header promises {count} vertices of {len(fields)} values; they are not there"
            )
        table = np.array(values, np.float64).reshape(count, len(fields))
        return {name: table[:, i] for i, name in enumerate(fields)}
    dtype = np.dtype(list(fields.items()))
    if count * dtype.itemsize > len(body):
        raise ValueError(
            f"its header promises {count} vertices, but the file holds {len(body)} bytes of them"
        )
    return {name: np.frombuffer(body, dtype, count)[name] for name in fields}
