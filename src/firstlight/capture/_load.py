"""One door for every kind of photo set."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from firstlight.capture._colmap_project import find_models, read_colmap
from firstlight.capture._demo import load_demo
from firstlight.capture._folder import find_photos, read_folder
from firstlight.capture._photos import Source, look_through
from firstlight.capture._picture import PHOTO_ENDINGS
from firstlight.capture._transforms import read_blender, read_transforms
from firstlight.capture._video import VIDEO_ENDINGS, read_video
from firstlight.errors import InputError
from firstlight.progress import Progress, Silent
from firstlight.scene import Capture, Photo

MAX_VIDEO_FRAMES = 100
_BLENDER = ("transforms_train.json", "transforms_test.json", "transforms_val.json")


def load(
    path: str | Path, *, max_video_frames: int = MAX_VIDEO_FRAMES, progress: Progress | None = None
) -> Capture:
    """Read photos, and what is known about their cameras; ``Capture.layout`` says what was recognised.

    ``path`` is one of: the word ``demo`` (the capture that comes with firstlight; a folder of that name is
    ``./demo``); a folder of photos; a video; a COLMAP project (a model in ``sparse/``, ``sparse/0`` or the
    folder itself, and the pictures); a nerfstudio ``transforms.json`` or its folder; a folder with
    Blender's ``transforms_train.json``. Where a folder is several of these, cameras with points win over
    cameras, and those over photos alone: for the photos alone give the folder ``images``.

    Coordinates of the Earth, which float32 would blur, get an origin near the cameras; ``progress`` is told.

    Photos are only opened, not kept. InputError when there is nothing that can be used; single photos
    that cannot be are in ``Capture.set_aside``.
    """
    capture = _load(path, max_video_frames, progress or Silent())
    return replace(capture, source=place_of(path))


def place_of(path: str | Path) -> str:
    """What ``load`` can be given instead of ``path`` whatever folder a later command is called in."""
    return "demo" if str(path) == "demo" else str(Path(path).resolve())


def _load(path: str | Path, max_video_frames: int, progress: Progress) -> Capture:
    if str(path) == "demo":
        return load_demo()
    # What lies beside "." and ".." is looked at too, and beside a link, not where it leads.
    path = Path(os.path.abspath(path))  # noqa: PTH100
    try:
        if path.is_dir():
            return _load_folder(path, progress)
        if path.is_file():
            return _load_file(path, max_video_frames, progress)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({error}).") from error
    raise InputError(f"{path}: there is no such file or folder. Give a folder of photos, or the word demo.")


def _load_file(path: Path, max_video_frames: int, progress: Progress) -> Capture:
    ending = path.suffix.lower()
    if path.name in _BLENDER:
        return read_blender(path.parent, progress)
    if ending == ".json":
        return read_transforms(path, progress)
    if ending in VIDEO_ENDINGS:
        return read_video(path, max_video_frames, progress)
    if ending in PHOTO_ENDINGS:
        raise InputError(
            f"{path}: one photo is not enough for a scene. Give a folder with two or more that overlap."
        )
    raise InputError(
        f"{path}: not a kind of file that holds photos. Give a folder of photos, a video "
        f"({', '.join(sorted(VIDEO_ENDINGS))}) or a transforms.json."
    )


def _load_folder(folder: Path, progress: Progress) -> Capture:
    for recognised, read in _LAYOUTS:
        if recognised(folder):
            return read(folder, progress)
    images = folder / "images"
    if images.is_dir() and not any("/" not in name for name in find_photos(folder)):
        return read_folder(images, progress)
    videos = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in VIDEO_ENDINGS)
    if videos and not find_photos(folder):
        raise InputError(f"{folder}: no photo in it, but the video {videos[0]}. Give the video file itself.")
    return read_folder(folder, progress)


def _is_colmap(folder: Path) -> bool:
    return bool(find_models(folder))


def _is_blender(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _BLENDER)


def _is_nerfstudio(folder: Path) -> bool:
    return (folder / "transforms.json").is_file()


def _read_nerfstudio(folder: Path, progress: Progress) -> Capture:
    return read_transforms(folder / "transforms.json", progress)


_LAYOUTS: tuple[tuple[Callable[[Path], bool], Callable[[Path, Progress], Capture]], ...] = (
    (_is_colmap, read_colmap),
    (_is_nerfstudio, _read_nerfstudio),
    (_is_blender, read_blender),
)


def load_photo(path: str | Path) -> Photo:
    """One photo alone; InputError when it cannot be used, with the reason."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file. Give a photo.")
    if path.suffix.lower() not in PHOTO_ENDINGS:
        raise InputError(f"{path}: not a photo (expected one of {', '.join(sorted(PHOTO_ENDINGS))}).")
    seen, aside = look_through([Source(path.name, path)], Silent())
    if aside:
        raise InputError(f"{path}: {aside[0].reason}.")
    return seen[0].photo
