"""Photos and what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firstlight.errors import InputError
from firstlight.scene.cameras import Cameras
from firstlight.scene.cloud import Cloud
from firstlight.scene.similarity import Similarity

HoldOut = Literal["every8", "none"]
DepthPicture = Callable[[], npt.NDArray[np.float32]]


class Picture(NamedTuple):
    """Decoded pixels."""

    rgb: npt.NDArray[np.uint8]  # [H, W, 3] sRGB
    mask: npt.NDArray[np.uint8] | None = None  # [H, W] 255 = keep, 0 = ignore


KEEP_FROM = 128  # a mask value from here on keeps its pixel


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo, decoded only when asked: a capture of thousands costs nothing until it is looked at."""

    name: str  # unique in the capture; with its ending, '/' between folders
    width: int  # after EXIF orientation
    height: int
    decode: Callable[[], Picture]  # returns [height, width] pixels, every time anew
    focal: float | None = None  # pixels, from EXIF: a prior, not a measurement
    lens: str | None = None  # photos that share this were taken through the same lens at the same zoom
    time: float | None = None  # seconds
    group: str | None = None  # photos cut from one exposure share it, and are held out together
    panorama: bool = False  # equirectangular, 360° × 180°
    depth: DepthPicture | None = None  # z-depth [height, width], scene units, 0 = unknown
    confidence: DepthPicture | None = None  # of depth, in [0, 1]; None where depth was measured

    def resized(self, max_size: int) -> Photo:
        """The same photo with its long side at most ``max_size`` pixels."""
        scale = max_size / max(self.width, self.height)
        if scale >= 1:
            return self
        width, height = max(1, round(self.width * scale)), max(1, round(self.height * scale))

        def decode() -> Picture:
            return resize_picture(self.decode(), width, height)

        def sampled(known: DepthPicture) -> npt.NDArray[np.float32]:
            return resize_depth(known(), width, height)

        return replace(
            self,
            width=width,
            height=height,
            decode=decode,
            focal=None if self.focal is None else self.focal * width / self.width,
            depth=None if self.depth is None else partial(sampled, self.depth),
            confidence=None if self.confidence is None else partial(sampled, self.confidence),
        )


def resize_picture(picture: Picture, width: int, height: int) -> Picture:
    """Shrink by averaging; a pixel of the mask is kept when most of what it covers is."""
    rgb = cv2.resize(picture.rgb, (width, height), interpolation=cv2.INTER_AREA)
    if picture.mask is None:
        return Picture(rgb.astype(np.uint8, copy=False))
    mask = cv2.resize(picture.mask, (width, height), interpolation=cv2.INTER_AREA)
    return Picture(rgb.astype(np.uint8, copy=False), np.where(mask >= KEEP_FROM, 255, 0).astype(np.uint8))


def resize_depth(depth: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.float32]:
    """Shrink by taking nearest pixels: an average across an edge is a depth at which nothing stands."""
    # Those nearest to the middle of what a pixel covers: plain INTER_NEAREST takes them from its corner.
    size = (width, height)
    return np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT), np.float32)


@dataclass(eq=False)
class Points:
    """Sparse points and the photos that saw them."""

    xyz: Tensor  # [P, 3] float64, scene units
    rgb: Tensor  # [P, 3] uint8
    error: Tensor  # [P] float64, mean reprojection error in pixels of the photos; NaN where unknown
    track_point: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))  # [M] which point …
    track_photo: Tensor = field(
        default_factory=lambda: torch.zeros(0, dtype=torch.long)
    )  # [M] … is seen in which photo

    def __len__(self) -> int:
        return len(self.xyz)

    def select(self, keep: Tensor) -> Points:
        """Those where the mask ``keep`` [P] is set, with their tracks."""
        new_index = torch.cumsum(keep, 0) - 1
        rows = keep[self.track_point]
        return Points(
            self.xyz[keep], self.rgb[keep], self.error[keep],
            new_index[self.track_point[rows]], self.track_photo[rows],
        )  # fmt: skip

    def transform(self, similarity: Similarity) -> Points:
        return replace(self, xyz=similarity.apply(self.xyz))

    def resized(self, scale: Tensor) -> Points:
        """The same points, once the sides of the photos are ``scale`` [C] times as long.

        Errors are means over photos, and so is what they grow by.
        """
        scale = scale.double()
        growth = scale[:1]
        if not bool((scale == growth).all()):
            count = torch.bincount(self.track_point, minlength=len(self))
            total = torch.bincount(self.track_point, scale[self.track_photo], minlength=len(self))
            growth = torch.where(count > 0, total / count, scale.mean())
        return replace(self, error=self.error * growth)


@dataclass(frozen=True)
class SetAside:
    """A photo that is not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Split:
    """Which photos train and which are held out (indices into the capture)."""

    train: list[int]
    test: list[int]


@dataclass(eq=False)
class Capture:
    """Photos, and where known: cameras, sparse and dense points, depths (each photo's own)."""

    photos: list[Photo]
    layout: str  # what was read, in words: 'folder of photos', 'COLMAP model (binary)' …
    cameras: Cameras | None = None  # one a photo
    points: Points | None = None
    cloud: Cloud | None = None  # dense points, once geometry was found
    set_aside: list[SetAside] = field(default_factory=list)
    background: tuple[float, float, float] | None = (
        None  # what stands behind the scene, where the data says so
    )
    test_names: frozenset[str] | None = None  # a split that the data itself brings (Blender's test set)
    source: str | None = None  # what it was read from, 'demo' or a path; None: a program made it

    def __post_init__(self) -> None:
        names = [photo.name for photo in self.photos]
        if len(set(names)) != len(names):
            raise ValueError("photo names must be unique in a capture")
        if self.cameras is not None and len(self.cameras) != len(self.photos):
            raise ValueError(f"{len(self.photos)} photos, but {len(self.cameras)} cameras")

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def posed(self) -> bool:
        return self.cameras is not None

    def select(self, index: Sequence[int]) -> Capture:
        """The photos at ``index``, with their cameras, and the points that they could have found themselves.

        Sparse ones were seen by two of them, or they would tell a fit what only held-out photos show.
        """
        return replace(
            self,
            photos=[self.photos[i] for i in index],
            cameras=None if self.cameras is None else self.cameras.select(list(index)),
            points=None if self.points is None else _points_found_by(self.points, index, len(self.photos)),
            cloud=None if self.cloud is None else self.cloud.made_by(index, len(self.photos)),
        )

    def resized(self, max_size: int) -> Capture:
        """Photos with their long side at most ``max_size`` pixels; cameras and points' errors to match."""
        photos = [photo.resized(max_size) for photo in self.photos]
        cameras, points = self.cameras, self.points
        if cameras is not None:
            cameras = cameras.resized(
                torch.tensor([p.width for p in photos]), torch.tensor([p.height for p in photos])
            )
        if points is not None:
            sides = [
                max(new.width, new.height) / max(old.width, old.height)
                for new, old in zip(photos, self.photos, strict=True)
            ]
            points = points.resized(torch.tensor(sides, dtype=torch.float64))
        return replace(self, photos=photos, cameras=cameras, points=points)

    def transform(self, similarity: Similarity) -> Capture:
        """Cameras, points and depths moved together."""

        def deeper(photo: Photo) -> Photo:
            depth = photo.depth
            if depth is None:
                return photo
            return replace(photo, depth=lambda: (depth() * similarity.scale).astype(np.float32))

        return replace(
            self,
            photos=[deeper(photo) for photo in self.photos],
            cameras=None if self.cameras is None else self.cameras.transform(similarity),
            points=None if self.points is None else self.points.transform(similarity),
            cloud=None if self.cloud is None else self.cloud.transform(similarity),
        )

    def split(self, hold_out: HoldOut | Sequence[str] = "every8", views: int | None = None) -> Split:
        """Hold out every 8th photo by name (the first, the ninth …), the named ones, or none.

        Of three photos or fewer none can be spared, and "every8" holds out none either.
        A capture that brings its own test set keeps it under "every8". ``views`` keeps that many training
        photos, evenly spaced among the rest. Photos of one group (faces of one panorama) stay together.
        InputError when a named photo does not exist or no training photo is left.
        """
        keys = [photo.group or photo.name for photo in self.photos]
        groups = sorted(set(keys))
        held = self._held_out(hold_out, groups)
        rest = [group for group in groups if group not in held]
        if views is not None:
            if not 1 <= views <= len(rest):
                raise InputError(
                    f"{views} training views asked for, but there are {len(rest)} to choose from."
                )
            picked = np.linspace(0, len(rest) - 1, views).round().astype(int)
            rest = [rest[i] for i in picked]
        if not rest:
            raise InputError(f"No photo is left to train on: {len(groups)} in all, {len(held)} held out.")
        kept = set(rest)
        order = sorted(range(len(keys)), key=lambda i: self.photos[i].name)
        return Split([i for i in order if keys[i] in kept], [i for i in order if keys[i] in held])

    def _held_out(self, hold_out: HoldOut | Sequence[str], groups: list[str]) -> set[str]:
        if hold_out == "none":
            return set()
        if hold_out == "every8":
            if self.test_names is not None:
                return {p.group or p.name for p in self.photos if p.name in self.test_names}
            # With two or three photos there is nothing to spare: an eighth of them is none.
            return set(groups[::8]) if len(groups) > 3 else set()
        by_name = {p.name: p.group or p.name for p in self.photos} | {g: g for g in groups}
        unknown = [name for name in hold_out if name not in by_name]
        if unknown:
            raise InputError(f"Photo to hold out not found in the capture: {', '.join(unknown)}.")
        return {by_name[name] for name in hold_out}


def _points_found_by(points: Points, index: Sequence[int], photos: int) -> Points:
    if len(points.track_point) == 0:
        return points
    place = torch.full((photos,), -1)
    place[torch.tensor(list(index), dtype=torch.long)] = torch.arange(len(index))
    seen = place[points.track_photo] >= 0
    keep = torch.bincount(points.track_point[seen], minlength=len(points)) >= min(2, len(index))
    renumbered = replace(
        points, track_point=points.track_point[seen], track_photo=place[points.track_photo[seen]]
    )
    return renumbered.select(keep)
