"""Looking through picture files: which can be used, how large they are, through which lens."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from firstlight.capture._exif import focal_pixels, lens_key
from firstlight.capture._panorama import is_panorama
from firstlight.capture._picture import (
    Pixels,
    UnusableError,
    decode,
    load_mask,
    opened,
    orientation,
    pixels,
    read_exif,
    same_shape,
)
from firstlight.errors import InputError
from firstlight.progress import Progress
from firstlight.scene import CameraModel, Photo, SetAside

MIN_SIDE = 16  # pixels; below this no feature fits
MAX_ASPECT = 16  # sides' ratio; of longer strips nothing is left at the sizes that geometry works at
_SMALL = 256  # long side of the copy that is looked at
_CONSTANT = 4  # of 255; what is left of noise after shrinking
_BLACK = 8  # of 255


@dataclass(frozen=True)
class Source:
    """A picture file that is to become a photo."""

    name: str
    path: Path
    mask: Path | None = None
    camera_size: tuple[int, int] | None = None  # width, height for which its known camera was made
    background: tuple[float, float, float] | None = None  # to lay transparent pictures on


@dataclass(frozen=True)
class Seen:
    """A photo that can be used, and whether it has transparent pixels."""

    photo: Photo
    transparent: bool


def look_through(sources: Sequence[Source], progress: Progress) -> tuple[list[Seen], list[SetAside]]:
    """Open every file once, in the order given; those that cannot be used are set aside with the reason.

    Every file is decoded to its end, because nothing less finds a photo that was cut short in copying, and
    finding it now is cheaper than after an hour of fitting. JPEGs are decoded at an eighth of their size,
    which still reads every byte but costs a third of the time.
    """
    seen: list[Seen] = []
    aside: list[SetAside] = []
    with (
        progress.stage("Looking through the photos", len(sources)) as stage,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        for result in pool.map(_look_at, sources):
            if isinstance(result, SetAside):
                aside.append(result)
            else:
                seen.append(result)
            stage.advance()
    return seen, aside


def _look_at(source: Source) -> Seen | SetAside:
    try:
        source.name.encode()
        return _examine(source)
    except UnicodeEncodeError:
        name = source.name.encode(errors="replace").decode()
        return SetAside(name, "its name is not valid text: rename the file")
    except UnusableError as why:
        return SetAside(source.name, str(why))


def _examine(source: Source) -> Seen:
    with opened(source.path) as image:
        width, height = image.size
        if image.format in ("JPEG", "MPO"):
            image.draft(image.mode, (_SMALL, _SMALL))
        rgb, alpha = pixels(image)
        turn = orientation(image)
        if image.format not in ("JPEG", "MPO"):
            height, width = rgb.shape[:2]  # some formats turn themselves on loading
        if min(width, height) < MIN_SIDE:
            raise UnusableError(f"{width}×{height} pixels are too few (at least {MIN_SIDE} on a side)")
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise UnusableError(f"{width}×{height} pixels are a strip, not a photo: cut it into photos")
        small = _shrunk(rgb)
        _check_content(small, alpha)
        panorama = is_panorama(image, width, height, small)
        exif = read_exif(image)
    focal = None if panorama else focal_pixels(exif, width, height)  # EXIF counts pixels as they are stored
    swapped = (height, width) if turn >= 5 else (width, height)
    turned = source.camera_size is None or _made_for_turned((width, height), swapped, source.camera_size)
    if turned:
        width, height = swapped
    if source.mask is not None:
        _check_mask(source.mask, width, height)
    photo = Photo(
        name=source.name,
        width=width,
        height=height,
        decode=partial(decode, source.path, turned, (width, height), source.mask, source.background),
        focal=focal,
        lens=lens_key(exif, width, height),
        panorama=panorama,
    )
    return Seen(photo, alpha is not None)


def _shrunk(rgb: Pixels) -> Pixels:
    scale = _SMALL / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _check_content(small: Pixels, alpha: Pixels | None) -> None:
    if alpha is not None and alpha.max() < 128:
        raise UnusableError("every pixel of it is transparent")
    if small.max() <= _BLACK:
        raise UnusableError("it is black all over")
    if (small.max((0, 1)).astype(int) - small.min((0, 1)) <= _CONSTANT).all():
        raise UnusableError("it has one colour all over")


def _check_mask(path: Path, width: int, height: int) -> None:
    try:
        mask = load_mask(path, width, height)
    except UnusableError as why:
        raise UnusableError(f"its mask {path.parent.name}/{path.name}: {why}") from why
    if not mask.any():
        raise UnusableError(f"its mask {path.parent.name}/{path.name} keeps no pixel (white = keep)")


def _made_for_turned(raw: tuple[int, int], turned: tuple[int, int], camera: tuple[int, int]) -> bool:
    """Whether a known camera was made for the picture as EXIF turns it, not as it is stored.

    Most programs that write cameras ignore the EXIF orientation, so stored is the rule.
    """
    if same_shape(*raw, *camera):
        return False
    if same_shape(*turned, *camera):
        return True
    raise UnusableError(f"it is {raw[0]}×{raw[1]} pixels, but its camera is for {camera[0]}×{camera[1]}")


def drop_duplicates(seen: Sequence[Seen], paths: dict[str, Path]) -> tuple[list[Seen], list[SetAside]]:
    """Keep one of the files that are the same byte for byte: a copy adds nothing but false certainty."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for one in seen:
        by_size[paths[one.photo.name].stat().st_size].append(one.photo.name)
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for names in by_size.values():
        for name in names if len(names) > 1 else []:
            original = first.setdefault(_digest(paths[name]), name)
            if original != name:
                same[name] = original
    kept = [one for one in seen if one.photo.name not in same]
    aside = [
        SetAside(one.photo.name, f"same picture as {same[one.photo.name]}")
        for one in seen
        if one.photo.name in same
    ]
    return kept, aside


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def no_photo_left(path: Path, aside: Iterable[SetAside]) -> InputError:
    """The error for a set of which nothing is left, with the first reasons."""
    reasons = [f"{one.name}: {one.reason}" for one in aside]
    shown = "; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")
    return InputError(f"{path}: no photo can be used ({shown}). Give at least two overlapping photos.")


def posed_photos(seen: Sequence[Seen], model: CameraModel) -> list[Photo]:
    """The photos of a data set with cameras: those say what is a panorama, not the pixels."""
    return [replace(one.photo, panorama=model == "equirectangular") for one in seen]


def agree_on_panoramas(seen: Sequence[Seen]) -> list[Photo]:
    """Photos of one size are panoramas when most of them look so: one camera took them all alike."""
    votes: dict[tuple[int, int], list[bool]] = defaultdict(list)
    for one in seen:
        votes[one.photo.width, one.photo.height].append(one.photo.panorama)
    decided = {size: 2 * sum(of) > len(of) for size, of in votes.items()}
    return [replace(one.photo, panorama=decided[one.photo.width, one.photo.height]) for one in seen]
