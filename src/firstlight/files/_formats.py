"""Which format a file has: by its content when reading, by its ending when writing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firstlight.errors import InputError
from firstlight.files._ply import read_ply, write_ply
from firstlight.scene import Gaussians


@dataclass(frozen=True)
class Format:
    """One way to keep Gaussians in a file."""

    ending: str  # lower case, with the dot
    magic: bytes  # what the file begins with
    read: Callable[[Path], Gaussians]
    write: Callable[[Gaussians, Path], None]


FORMATS = (Format(".ply", b"ply", read_ply, write_ply),)


def load_gaussians(path: str | Path) -> Gaussians:
    """The scene in ``path``, float32.

    The content decides the format, and the ending where the content does not say. InputError when the
    file is missing, cut short, lies about its size, or holds no usable Gaussians.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file.")
    if not path.is_file():
        raise InputError(f"{path}: not a file. Give a scene file ({_endings()}).")
    try:
        with path.open("rb") as file:
            start = file.read(64)
        for format in FORMATS:
            if start.startswith(format.magic):
                return format.read(path)
        return _by_ending(path).read(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error


def save_gaussians(gaussians: Gaussians, path: str | Path) -> None:
    """Write ``gaussians`` to ``path``; the ending chooses the format.

    What stood at ``path`` stays whole until the new file is complete. InputError for an unknown ending, a
    folder that cannot be written to or a full disk; ValueError for NaN or infinite values.
    """
    path = Path(path)
    format = _by_ending(path)
    bad = len(gaussians) - int(gaussians.finite().sum())
    if bad:
        raise ValueError(f"{bad} of {len(gaussians)} Gaussians hold NaN or infinity: select(finite()) first")
    format.write(gaussians, path)


def _by_ending(path: Path) -> Format:
    for format in FORMATS:
        if path.suffix.lower() == format.ending:
            return format
    raise InputError(f"{path}: not a format that firstlight knows. It reads and writes {_endings()}.")


def _endings() -> str:
    return ", ".join(format.ending for format in FORMATS)
