"""What stands before the data of any .ply: read with suspicion, believed only as far as the file is long."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from firstlight.errors import InputError

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
BYTE_ORDER = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}

# Real headers have some 70 short lines. The bounds keep a hostile one from eating memory.
MAX_LINE = 4096  # bytes
MAX_LINES = 4096


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


def read_header(file: IO[bytes], path: Path) -> Header:
    """Leave ``file`` at the first byte of the data; InputError when the header makes no sense."""
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


def check_size(header: Header, last: Element, promise: str, path: Path) -> None:
    """InputError when the file has no room for the elements up to ``last``: nothing is allocated before."""
    held = path.stat().st_size - header.size
    needed = 0
    for element in header.elements[: header.elements.index(last) + 1]:
        if header.encoding == "ascii":  # at least one digit and one separator a value, and none at the end
            needed += element.count * 2 * max(len(element.properties), 1)
        else:
            needed += element.count * element.dtype("=").itemsize
    if needed - (header.encoding == "ascii") > held:
        raise InputError(
            f"{path}: the header promises {promise}, at least {needed} bytes, but only {held} "
            "follow. The file is cut short or damaged: copy or export it again."
        )


def _read_line(file: IO[bytes], path: Path) -> str:
    line = file.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        raise InputError(f"{path}: the .ply header is cut short or has a line of over {MAX_LINE} bytes.")
    return line.decode("latin-1").rstrip("\r\n")  # comments may hold anything
