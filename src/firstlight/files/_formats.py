"""Which format a file has: by its content when reading, by its ending when writing."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from firstlight.errors import InputError
from firstlight.files import (
    _compressed_ply,
    _flz,
    _forest,
    _gltf,
    _ksplat,
    _ply,
    _sog,
    _splat,
    _spz,
    _tables,
)
from firstlight.files._limits import ZIP_ERRORS
from firstlight.scene import Gaussians
from firstlight.scene.sh import MAX_DEGREE


@dataclass(frozen=True)
class Format:
    """One way to keep Gaussians in a file."""

    name: str
    ending: str  # lower case, with the dot
    degree: int  # of the spherical harmonics that it can hold
    recognises: Callable[[bytes, Path], bool]  # from the first bytes of a file, and its path
    read: Callable[[Path], Gaussians]
    write: Callable[..., None] | None = None  # (gaussians, path, **its own options); None: read only


def _never(start: bytes, path: Path) -> bool:
    return False


def _zip_with(name: str) -> Callable[[bytes, Path], bool]:
    def recognises(start: bytes, path: Path) -> bool:
        if not start.startswith(b"PK\x03\x04"):
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                return name in archive.namelist()
        except ZIP_ERRORS:
            return False

    return recognises


# Of two that would do for a path or a file, the first is taken.
FORMATS = (
    Format(
        "PlayCanvas compressed PLY", ".compressed.ply", _compressed_ply.MAX_DEGREE,
        lambda start, _: _compressed_ply.is_compressed(start),
        _compressed_ply.read_compressed_ply, _compressed_ply.write_compressed_ply,
    ),
    Format(
        "PLY", ".ply", MAX_DEGREE, lambda start, _: start.startswith(b"ply"), _ply.read_ply, _ply.write_ply
    ),
    Format("SPZ", ".spz", MAX_DEGREE, lambda start, _: _spz.is_spz(start), _spz.read_spz, _spz.write_spz),
    Format(
        "FLZ", ".flz", MAX_DEGREE, lambda start, _: start.startswith(_flz.MAGIC),
        _flz.read_flz, _flz.write_flz,
    ),
    Format(
        "forest", ".forest", MAX_DEGREE, lambda start, _: start.startswith(_forest.MAGIC),
        _forest.read_forest,
    ),
    Format("SOG", ".sog", _sog.MAX_DEGREE, _zip_with(_sog.META), _sog.read_sog, _sog.write_sog),
    Format(
        "SOG folder", _sog.META, _sog.MAX_DEGREE, _never, _sog.read_sog_folder, _sog.write_sog_folder
    ),
    Format(
        "glTF binary", ".glb", _gltf.MAX_DEGREE, lambda start, _: start.startswith(_gltf.MAGIC),
        _gltf.read_gltf, _gltf.write_glb,
    ),
    Format("glTF", ".gltf", _gltf.MAX_DEGREE, _never, _gltf.read_gltf),
    Format("NumPy arrays", ".npz", MAX_DEGREE, _zip_with("means.npy"), _tables.read_npz, _tables.write_npz),
    Format("CSV table", ".csv", MAX_DEGREE, _never, _tables.read_csv, _tables.write_csv),
    Format(
        "KSPLAT", ".ksplat", _ksplat.MAX_DEGREE, lambda start, _: _ksplat.is_ksplat(start),
        _ksplat.read_ksplat,
    ),
    Format("SPLAT", ".splat", 0, _never, _splat.read_splat, _splat.write_splat),
)  # fmt: skip


def load_gaussians(path: str | Path) -> Gaussians:
    """The scene in ``path``, float32: a file, an unzipped SOG's folder, or a run's.

    The content decides the format, and the ending where the content does not say. InputError when the
    file is missing, cut short, lies about its size, or holds no usable Gaussians.
    """
    path = scene_file(path)
    try:
        return format_of(path).read(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error


def save_gaussians(gaussians: Gaussians, path: str | Path, **options: Any) -> None:
    """Write ``gaussians`` to ``path``; the ending chooses the format, and ``options`` are its writer's.

    What a format cannot hold is rounded or dropped: docs/formats.md says what. What stood at ``path`` stays
    whole until the new file is complete. InputError for an unknown ending, a folder that cannot be written to
    or a full disk; ValueError for NaN or infinite values, or for no Gaussians at all.
    """
    path = Path(path)
    format = format_by_ending(path)
    if format.write is None:
        raise InputError(f"{path}: firstlight reads {format.name} but does not write it. {_endings()}")
    if not len(gaussians):
        raise ValueError(f"{path}: no Gaussians to write")
    bad = len(gaussians) - int(gaussians.finite().sum())
    if bad:
        raise ValueError(f"{bad} of {len(gaussians)} Gaussians hold NaN or infinity: select(finite()) first")
    format.write(gaussians.detach().to(torch.float32), path, **options)


def files_of(path: Path) -> list[Path]:
    """All files of the scene that is read from ``path``, which ``load_gaussians`` takes."""
    match format_of(path).ending:
        case _sog.META:
            return [part for part in path.parent.iterdir() if part.is_file()]
        case ".gltf" | ".glb":
            return _gltf.files_of(path)
        case _:
            return [path]


def scene_file(path: str | Path) -> Path:
    """The file to read for ``path``: itself, or in a folder its scene.ply (a run) or meta.json (SOG)."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file.")
    for inside in ("scene.ply", _sog.META) if path.is_dir() else ():
        if (path / inside).is_file():
            return path / inside
    if not path.is_file():
        raise InputError(f"{path}: not a file, nor a folder with a scene.ply or {_sog.META}.")
    return path


def format_of(path: Path) -> Format:
    """The format of an existing file."""
    with path.open("rb") as file:
        start = file.read(4096)
    for format in FORMATS:
        if format.recognises(start, path):
            return format
    return format_by_ending(path)


def format_by_ending(path: Path) -> Format:
    """The format that a file of this name has; InputError when there is none."""
    for format in FORMATS:
        if path.name.lower().endswith(format.ending):
            return format
    raise InputError(f"{path}: not a format that firstlight knows. {_endings()}")


def _endings() -> str:
    written = ", ".join(format.ending for format in FORMATS if format.write)
    read = ", ".join(format.ending for format in FORMATS if not format.write)
    return f"It reads and writes {written}; it reads {read}."
