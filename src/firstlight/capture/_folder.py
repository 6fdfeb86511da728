"""A folder of photos, and the masks that lie with it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from firstlight.capture._photos import (
    Source,
    agree_on_panoramas,
    drop_duplicates,
    look_through,
    no_photo_left,
)
from firstlight.capture._picture import PHOTO_ENDINGS
from firstlight.errors import InputError
from firstlight.progress import Progress
from firstlight.scene import Capture

_MASKS = "masks"
# Folders that hold one of these were made by 'firstlight fit' or 'compare': their pictures are renders, and
# copies of photos that were held out.
_MADE_FROM_PHOTOS = frozenset({"run.json", "plan.json", "compare.json"})


def find_photos(folder: Path) -> list[str]:
    """Names, relative to ``folder``, of the picture files in and below it, in natural order.

    Hidden files and folders are passed over, and so are its folder ``masks`` and, below it, the folders of
    runs and comparisons.
    """
    names = [
        name
        for name in _files_below(folder)
        if Path(name).suffix.lower() in PHOTO_ENDINGS and name.split("/")[0].lower() != _MASKS
    ]
    return sorted(names, key=_natural)


def _files_below(folder: Path) -> list[str]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: the folder cannot be read ({error.strerror}).") from error

    names = []
    for where, folders, files in os.walk(folder, onerror=refuse):
        below = Path(where).relative_to(folder)
        if below.name and not _MADE_FROM_PHOTOS.isdisjoint(files):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        names += [(below / name).as_posix() for name in files if not name.startswith(".")]
    return names


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that puts photo2 before photo10."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [(int(part), 0, "") if i % 2 else (0, 1, part) for i, part in enumerate(parts)], name


class Masks:
    """The folder ``masks`` inside a folder of photos or beside it.

    The mask of ``a/b.jpg`` is ``a/b.jpg.png`` (COLMAP's way), ``a/b.png``, or a picture of that name with
    another ending. White means keep.
    """

    def __init__(self, photos: Path) -> None:
        self.found: dict[str, Path] = {}
        for folder in (*_masks_in(photos.parent), *_masks_in(photos)):  # the inner one has the last word
            if folder != photos:
                for name in sorted(_files_below(folder)):
                    if Path(name).suffix.lower() in PHOTO_ENDINGS:
                        self.found[Path(name).with_suffix("").as_posix().lower()] = folder / name

    def of(self, name: str) -> Path | None:
        """The mask of the photo ``name``, None when it has none."""
        stem = Path(name).with_suffix("").as_posix()
        return self.found.get(name.lower()) or self.found.get(stem.lower())


def _masks_in(folder: Path) -> list[Path]:
    """The folder of that name, however it is spelt: photos are not looked for in any of them."""
    try:
        there = sorted(folder.iterdir())
    except OSError:  # a folder above the photos may be closed to us
        return []
    return [path for path in there if path.name.lower() == _MASKS and path.is_dir()]


def read_folder(folder: Path, progress: Progress) -> Capture:
    """The photos in and below ``folder``; InputError when there is none that can be used."""
    names = find_photos(folder)
    if not names:
        raise InputError(
            f"{folder}: no photo in it (looked for {', '.join(sorted(PHOTO_ENDINGS))}). "
            "Give a folder of photos, a video, a COLMAP project or a transforms.json."
        )
    masks = Masks(folder)
    sources = [Source(name, folder / name, masks.of(name)) for name in names]
    seen, aside = look_through(sources, progress)
    seen, copies = drop_duplicates(seen, {source.name: source.path for source in sources})
    aside += copies
    if not seen:
        raise no_photo_left(folder, aside)
    if masks.found and not any(source.mask for source in sources):
        progress.note(f"{folder}: there is a masks folder, but none of its masks is named like a photo.")
    masked = sum(source.mask is not None for source in sources)
    layout = f"folder of photos, {masked} with masks" if masked else "folder of photos"
    return Capture(photos=agree_on_panoramas(seen), layout=layout, set_aside=aside)
