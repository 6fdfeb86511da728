"""What firstlight's own files have in common: magic, version and layout, then what the range coder wrote."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from firstlight.errors import InputError
from firstlight.files._entropy import Coder, DamageError, Reader

T = TypeVar("T")


@dataclass(frozen=True)
class Container:
    """One kind of file. ``header`` holds the magic, the version and then whole numbers of the layout."""

    ending: str
    magic: bytes
    version: int
    header: struct.Struct

    def begin(self, layout: tuple[int, ...]) -> bytes:
        """The header of a file with that ``layout``."""
        return self.header.pack(self.magic, self.version, *layout)

    def layout(self, data: bytes, path: Path) -> tuple[int, ...]:
        """The numbers of the layout as they stand; InputError for another file or version."""
        if len(data) < self.header.size or not data.startswith(self.magic):
            raise InputError(f"{path}: no {self.ending} file, or cut short.")
        _, version, *numbers = self.header.unpack_from(data)
        if version != self.version:
            raise InputError(
                f"{path}: {self.ending} of version {version}, not {self.version}: too new or damaged."
            )
        return tuple(numbers)

    def read(self, data: bytes, path: Path, code: Callable[[Coder], T]) -> T:
        """What ``code`` reads behind the header; InputError where it cannot be what a writer wrote."""
        try:
            reader = Reader(data[self.header.size :])
            found = code(reader)
            reader.finish()
        except DamageError as error:
            raise InputError(f"{path}: damaged: {error}.") from error
        return found
