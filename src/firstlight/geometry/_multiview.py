"""Depth and cameras of several photos at once, by pretrained networks; depth at the scene's scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch

from firstlight.geometry._depth_map import DepthMap
from firstlight.geometry._monocular import FEWEST, NEAR, at_points, in_scene
from firstlight.geometry._neighbours import points_in
from firstlight.geometry._views import View
from firstlight.progress import Progress
from firstlight.scene import Cameras, Capture, Photo

Bytes = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
WHITE = 255  # around photos of other shapes than the largest


@dataclass(frozen=True, eq=False)
class Looked:
    """What a network says of N pictures [H, W] that it looked at together."""

    depth: Floats  # [N, H, W] z-depth, in a unit of the network's own
    certainty: Floats | None  # [N, H, W] 1 + exp(how sure it is), as all these networks put it
    viewmats: Doubles  # [N, 4, 4] world → camera, in the same unit
    Ks: Doubles  # [N, 3, 3] pixels of the pictures, pixel centres at +0.5


Network = Callable[[Bytes], Looked]  # of pictures [N, H, W, 3]


@dataclass(frozen=True, eq=False)
class Framed:
    """Photos in pictures of one size: shrunk or stretched to whole patches, white borders around."""

    pictures: Bytes  # [N, H, W, 3]
    boxes: list[tuple[int, int, int, int]]  # left, top, width, height of each photo in its picture
    sizes: list[tuple[int, int]]  # width and height of each photo

    def cut(self, maps: Floats) -> list[Floats]:
        """Maps [N, H, W] of the pictures at the size of the photos."""
        inner = (
            one[top : top + height, left : left + width]
            for one, (left, top, width, height) in zip(maps, self.boxes, strict=True)
        )
        return [
            np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_LINEAR), np.float32)
            for one, size in zip(inner, self.sizes, strict=True)
        ]

    def lenses(self, Ks: Doubles) -> Doubles:
        """Matrices [N, 3, 3] of the pictures in pixels of the photos."""
        Ks = Ks.copy()
        for K, (left, top, width, height), size in zip(Ks, self.boxes, self.sizes, strict=True):
            K[:2, 2] -= left, top
            K[:2] *= np.array([size[0] / width, size[1] / height])[:, None]
        return Ks


def framed(photos: Sequence[Bytes], side: int, patch: int) -> Framed:
    """Photos [H, W, 3] with the long side at ``side`` pixels; both sides are multiples of ``patch``.

    A photo is stretched by less than half a patch for that. Photos of different shapes get white borders,
    evenly on both sides, because networks take the middle of a picture for the middle of the lens.
    """
    sizes = [photo.shape[1::-1] for photo in photos]
    inner = [
        tuple(max(1, round(length * side / max(size) / patch)) * patch for length in size) for size in sizes
    ]
    width, height = (max(size[axis] for size in inner) for axis in (0, 1))
    pictures = np.full((len(photos), height, width, 3), WHITE, np.uint8)
    boxes = []
    for picture, photo, (w, h) in zip(pictures, photos, inner, strict=True):
        left, top = (width - w) // 2, (height - h) // 2
        shrink = max(photo.shape[:2]) > side
        how = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
        picture[top : top + h, left : left + w] = cv2.resize(photo, (w, h), interpolation=how)
        boxes.append((left, top, w, h))
    return Framed(pictures, boxes, [(w, h) for w, h in sizes])


@dataclass(frozen=True)
class MultiView:
    """A pretrained network that sees all photos at once: a source of depth, and of cameras to begin with.

    load: fetches the network and its weights when it is first called; InputError when it cannot. side: pixels
    of the pictures' long side that it was trained with; patch: pixels of which their sides are multiples.
    Depth is right but for one factor, which each photo's sparse points give; cameras are never used as they
    are, but adjusted to our own matches (``poses.Guess``).
    """

    load: Callable[[], Network]
    side: int
    patch: int
    agreement: float = 4.0  # pixels by which two photos may disagree

    def __call__(
        self, capture: Capture, views: Sequence[View], neighbours: Sequence[Sequence[int]], *,
        seed: int, progress: Progress,
    ) -> list[DepthMap]:  # fmt: skip
        """InputError when the network cannot be loaded."""
        frames, looked = self._look(capture.photos, progress)
        said = frames.cut(looked.depth)
        sure: Sequence[Floats | None] = [None] * len(said)
        if looked.certainty is not None:
            sure = frames.cut((1 - 1 / np.maximum(looked.certainty, 1)).astype(np.float32))
        maps = []
        for i, (one, view, trust) in enumerate(zip(said, views, sure, strict=True)):
            pixels, depths = view.project(points_in(i, view, capture.points))
            maps.append(in_scene(scaled(one, pixels, depths), view, trust))
        return maps

    def cameras(self, photos: Sequence[Photo], progress: Progress) -> Cameras:
        """Cameras of all photos in the network's own frame and scale: right to some degrees at best."""
        frames, looked = self._look(photos, progress)
        width, height = torch.tensor(frames.sizes).T
        Ks = frames.lenses(looked.Ks)
        return Cameras(torch.from_numpy(looked.viewmats).float(), torch.from_numpy(Ks).float(), width, height)

    def _look(self, photos: Sequence[Photo], progress: Progress) -> tuple[Framed, Looked]:
        with progress.stage("Looking with a network") as stage:
            frames = framed(
                [photo.resized(2 * self.side).decode().rgb for photo in photos], self.side, self.patch
            )
            looked = self.load()(frames.pictures)
            stage.advance()
        # The size that is asked for is that of the photos, not of what was decoded.
        return replace(frames, sizes=[(photo.width, photo.height) for photo in photos]), looked


def scaled(said: Floats, pixels: Doubles, depths: Doubles) -> tuple[Floats, float] | None:
    """Depth [H, W] from what a network ``said``, right but for its unit, and the share of points that fit.

    pixels: [P, 2] of points with known ``depths`` [P]. None where they are too few or hardly any fits.
    """
    x, z = at_points(said, pixels, depths)
    x, z = x[x > 0], z[x > 0]
    if len(z) < FEWEST:
        return None
    depth = np.maximum(said * float(np.median(z / x)), 0)
    fits = float((np.abs(x * np.median(z / x) / z - 1) < NEAR).mean())
    return (depth.astype(np.float32), fits) if fits * len(z) >= FEWEST else None
