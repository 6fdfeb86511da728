"""COLMAP model files, read no further than they are long.

pycolmap reads the models; it trusts their counts, though: it allocates what they say, loops as often as
they say, and takes a camera that was cut short for one with zeros. So every record is stepped over here
first.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pycolmap

from firstlight.errors import InputError

_NEEDED = ("cameras", "images", "points3D")
_OPTIONAL = ("rigs", "frames")  # since COLMAP 3.12
_WAY_OUT = "Export the model again from COLMAP, or give the folder of photos alone to place them anew."

# Parameters of each model, by COLMAP's number for it.
_PARAMETERS = {
    int(model): len(pycolmap.Camera.create_from_model_id(1, model, 1.0, 1, 1).params)
    for model in pycolmap.CameraModelId.__members__.values()
    if model != pycolmap.CameraModelId.INVALID
}


class _BrokenError(Exception):
    """What is wrong with a file."""


class Model(NamedTuple):
    """A model as read."""

    folder: Path
    kind: str  # 'binary' or 'text'
    reconstruction: pycolmap.Reconstruction


def has_model(folder: Path) -> bool:
    """Whether ``folder`` holds files of a COLMAP model (of which some may be missing)."""
    return any((folder / f"{name}{ending}").is_file() for name in _NEEDED for ending in (".bin", ".txt"))


def read_model(folder: Path) -> Model:
    """Read the model in ``folder``, binary before text; InputError when it cannot be used."""
    for kind, ending in (("binary", ".bin"), ("text", ".txt")):
        if all((folder / f"{name}{ending}").is_file() for name in _NEEDED):
            return Model(folder, kind, _read(folder, ending))
    raise InputError(
        f"{folder}: a COLMAP model needs cameras, images and points3D, all three as .bin or all three as "
        f".txt; found {', '.join(sorted(p.name for p in folder.iterdir() if p.is_file()))}. {_WAY_OUT}"
    )


def _read(folder: Path, ending: str) -> pycolmap.Reconstruction:
    for name in _NEEDED + _OPTIONAL:
        path = folder / f"{name}{ending}"
        if path.is_file():
            try:
                _CHECKS[path.name](path)
            except (_BrokenError, struct.error, IndexError) as error:
                why = error if isinstance(error, _BrokenError) else "it is cut short"
                raise InputError(f"{path}: {why}. {_WAY_OUT}") from error
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    reconstruction = pycolmap.Reconstruction()
    read = reconstruction.read_binary if ending == ".bin" else reconstruction.read_text
    try:
        read(folder)
        for image in reconstruction.images.values():
            image.name.encode()  # names that are no text fail here and not in the middle of a fit
    except (ValueError, LookupError, RuntimeError, MemoryError, OverflowError) as error:
        raise InputError(
            f"{folder}: the COLMAP model contradicts itself or is damaged ({_first_line(error)}). {_WAY_OUT}"
        ) from error
    return reconstruction


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].split("] ")[-1][:160]


def _whole(record: Callable[[mmap.mmap, int], int]) -> Callable[[Path], None]:
    """A check of a binary file: a count, and that many records, each of which ``record`` steps over."""

    def check(path: Path) -> None:
        size = path.stat().st_size
        if size < 8:
            raise _BrokenError(f"it is {size} bytes long, too short for a COLMAP file")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            (count,) = struct.unpack_from("<Q", data)
            at = 8
            for done in range(count):
                if at >= size:
                    raise _BrokenError(f"its header promises {count} entries, but it ends after {done}")
                at = record(data, at)
            if at != size:
                cut = "is cut short" if at > size else f"has {size - at} bytes more than its header tells"
                raise _BrokenError(f"it {cut}")

    return check


def _camera(data: mmap.mmap, at: int) -> int:
    _, model = struct.unpack_from("<Ii", data, at)
    if model not in _PARAMETERS:
        raise _BrokenError(f"it holds a camera model number {model}, which COLMAP does not have")
    return at + 24 + 8 * _PARAMETERS[model]


def _image(data: mmap.mmap, at: int) -> int:
    end = data.find(b"\0", at + 64)
    if end < 0:
        raise _BrokenError("it is cut short")
    (points,) = struct.unpack_from("<Q", data, end + 1)
    return end + 9 + 24 * int(points)


def _point(data: mmap.mmap, at: int) -> int:
    (track,) = struct.unpack_from("<Q", data, at + 43)
    return at + 51 + 8 * int(track)


def _rig(data: mmap.mmap, at: int) -> int:
    (sensors,) = struct.unpack_from("<I", data, at + 4)
    at += 8 + (8 if sensors else 0)
    for _ in range(1, sensors):
        at += 9 + (56 if data[at + 8] else 0)  # IndexError when the file ends before
    return at


def _frame(data: mmap.mmap, at: int) -> int:
    (photos,) = struct.unpack_from("<I", data, at + 64)
    return at + 68 + 16 * int(photos)


def _check_nothing(path: Path) -> None:
    """These text files hold no counts: a line is what stands in it."""


def _check_text_counts(column: int) -> Callable[[Path], None]:
    """A check of a text file whose lines have a count at ``column``: three words at least for each."""

    def check(path: Path) -> None:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                words = line.split()
                if not words or words[0].startswith(b"#"):
                    continue
                if len(words) <= column or not words[column].isdigit():
                    raise _BrokenError(f"line {number} is not what COLMAP writes")
                # A rig's first sensor takes two words and each further one at least three; a frame's three.
                if 3 * int(words[column][:20]) > len(words) - column:
                    raise _BrokenError(f"line {number} promises more entries than stand in it")

    return check


_CHECKS: dict[str, Callable[[Path], None]] = {
    "cameras.bin": _whole(_camera),
    "images.bin": _whole(_image),
    "points3D.bin": _whole(_point),
    "rigs.bin": _whole(_rig),
    "frames.bin": _whole(_frame),
    "cameras.txt": _check_nothing,
    "images.txt": _check_nothing,
    "points3D.txt": _check_nothing,
    "rigs.txt": _check_text_counts(1),
    "frames.txt": _check_text_counts(9),
}
