"""How much a compressed file may swell (a few kilobytes must not fill the memory), and how a zip fails."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path
from typing import IO

from firstlight.errors import InputError

# What zipfile raises for a damaged file, names in it that are no UTF-8 among the rest.
ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError,
    UnicodeDecodeError,
)  # fmt: skip

# Splats are noise to a compressor: real files swell 2 to 5 times, and where harmonics are all zero, 10 to 20.
MAX_SWELL = 100
ALWAYS_ALLOWED = 64 * 2**20  # bytes


def may_swell(wanted: int, stored: int, most: int = MAX_SWELL) -> bool:
    """Whether ``wanted`` bytes can honestly come out of ``stored`` ones, ``most`` times as many."""
    return wanted <= max(ALWAYS_ALLOWED, most * stored)


def check_swell(wanted: int, stored: int, path: Path) -> None:
    """InputError when ``wanted`` bytes cannot honestly come out of ``stored`` ones."""
    if not may_swell(wanted, stored):
        raise InputError(
            f"{path}: {stored} bytes claim to hold {wanted}, more than any real scene. "
            "The file is damaged or made to fill the memory."
        )


def inflate(file: IO[bytes], size: int, path: Path) -> bytes:
    """Exactly ``size`` bytes of a gzip stream, no more memory than that; InputError when there are fewer."""
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    out = bytearray()
    try:
        while len(out) < size and not stream.eof:
            data = stream.unconsumed_tail or file.read(2**20)
            if not data:
                break
            out += stream.decompress(data, size - len(out))
    except zlib.error as error:
        raise InputError(f"{path}: the compressed data is damaged ({error}).") from error
    if len(out) < size:
        raise InputError(f"{path}: cut short: {size} bytes expected after decompression, {len(out)} found.")
    return bytes(out)
