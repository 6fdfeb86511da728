"""From photos with cameras to depth maps and a dense cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch

from firstlight.geometry._depth_map import DepthMap
from firstlight.geometry._fuse import check, fuse
from firstlight.geometry._neighbours import choose_neighbours, depth_limits, points_in
from firstlight.geometry._stereo import Effort, consistent, photometric
from firstlight.geometry._views import View, load_views
from firstlight.progress import Progress, Silent
from firstlight.scene import Capture, Cloud, Photo

MOST_NEIGHBOURS = 3  # photos that a photo is compared with; votes have room for eight
MAX_SIZE = 504  # pixels of the long side that depth is worked out at
MAX_POINTS = 200_000


class Source(Protocol):
    """Where depth comes from before the photos' depth maps are held against each other."""

    @property
    def agreement(self) -> float:
        """Pixels by which the depths of two photos may disagree and still be one surface."""

    def __call__(
        self, capture: Capture, views: Sequence[View], neighbours: Sequence[Sequence[int]], *,
        seed: int, progress: Progress,
    ) -> list[DepthMap]:  # fmt: skip
        """A map for each photo of ``capture``, at the size of its view, in scene units: right or wrong."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """What was found for some photos of a capture."""

    names: list[str]  # of the photos
    maps: list[DepthMap]  # one a photo
    cloud: Cloud  # its ``photos`` count in ``names``

    def attach(self, capture: Capture) -> Capture:
        """``capture`` with these depths where a photo had none, and with the cloud.

        ValueError where a photo is not in it.
        """
        place = {photo.name: i for i, photo in enumerate(capture.photos)}
        missing = [name for name in self.names if name not in place]
        if missing:
            raise ValueError(f"geometry was found for photos that are not here: {', '.join(missing[:3])}")
        photos = list(capture.photos)
        for name, found in zip(self.names, self.maps, strict=True):
            photos[place[name]] = _with_depth(photos[place[name]], found)
        index = torch.tensor([place[name] for name in self.names])
        return replace(capture, photos=photos, cloud=replace(self.cloud, photos=index[self.cloud.photos]))


def densify(
    capture: Capture,
    source: Source | None = None,
    *,
    photos: Sequence[int] | None = None,
    seed: int = 0,
    max_size: int = MAX_SIZE,
    max_points: int = MAX_POINTS,
    progress: Progress | None = None,
) -> Capture:
    """Give photos depth with confidence, and the capture a cloud: see ``find_geometry`` and ``Capture``."""
    found = find_geometry(
        capture, source, photos=photos, seed=seed, max_size=max_size, max_points=max_points, progress=progress
    )
    return found.attach(capture)


def find_geometry(
    capture: Capture,
    source: Source | None = None,
    *,
    photos: Sequence[int] | None = None,
    seed: int = 0,
    max_size: int = MAX_SIZE,
    max_points: int = MAX_POINTS,
    progress: Progress | None = None,
) -> Geometry:
    """Find the surface behind every pixel that at least two photos show.

    capture: photos with pinhole cameras and, as far as there are any, sparse points, which say how far things
    are and where to begin. source: where depth comes from, by default :class:`Stereo`. photos: use only these
    (those that a fit trains on, say). seed: the same one gives the same result bit for bit. max_size: of the
    long side in pixels at which depth is worked out. max_points: of the cloud. What photos cannot tell (no
    overlap, no parallax, no texture) has no depth, not a wrong one; a photo without a useful neighbour has an
    empty map.

    ValueError when there are no photos or no cameras, or lenses that distort (``poses.undistort`` first).
    """
    if capture.cameras is None:
        raise ValueError("the capture has no cameras")
    if not capture.cameras.undistorted:
        raise ValueError("dense geometry is made from pinhole cameras; undistort the capture first")
    capture = capture if photos is None else capture.select(photos)
    if len(capture) == 0:
        raise ValueError("there are no photos to find the geometry of")
    capture = capture.resized(max_size)
    progress, source = progress or Silent(), source or Stereo()
    with progress.stage("Looking at surfaces", len(capture)) as stage:
        views = load_views(capture, stage)
        neighbours = choose_neighbours(views, capture.points, MOST_NEIGHBOURS)
    maps = source(capture, views, neighbours, seed=seed, progress=progress)
    pixels = source.agreement
    with progress.stage("Joining surfaces", len(capture)) as stage:
        checked = []
        for view, found, near in zip(views, maps, neighbours, strict=True):
            checked.append(check(view, found, [views[k] for k in near], [maps[k] for k in near], pixels))
            stage.advance()
        cloud = fuse(
            views, capture.photos, neighbours, checked, pixels, max_points, np.random.default_rng(seed)
        )
    progress.note(f"{len(cloud):,} points on surfaces that at least two photos show")
    return Geometry([photo.name for photo in capture.photos], [one.map for one in checked], cloud)


@dataclass(frozen=True)
class Stereo:
    """Depth from parallax, by what the photos themselves show."""

    effort: Effort = field(default_factory=Effort)
    agreement: float = 1.0

    def __call__(
        self, capture: Capture, views: Sequence[View], neighbours: Sequence[Sequence[int]], *,
        seed: int, progress: Progress,
    ) -> list[DepthMap]:  # fmt: skip
        maps: list[DepthMap] = []
        with progress.stage("Measuring depth", 2 * len(views)) as stage:
            limits = [
                depth_limits(i, views, near, capture.points) if near else None
                for i, near in enumerate(neighbours)
            ]
            for i, (view, limit) in enumerate(zip(views, limits, strict=True)):
                others = [views[k] for k in neighbours[i]]
                seen = points_in(i, view, capture.points)
                if limit is None:
                    maps.append(DepthMap.empty(view.shape))
                else:
                    maps.append(photometric(view, others, limit, seen, seed + 7919 * i, self.effort))
                stage.advance()
            for i, (view, limit) in enumerate(zip(views, limits, strict=True)):
                near = neighbours[i]
                if limit is not None:
                    others, theirs = [views[k] for k in near], [maps[k] for k in near]
                    maps[i] = consistent(view, others, maps[i], theirs, limit, seed + 7919 * i, self.effort)
                stage.advance()
        return maps


def _with_depth(photo: Photo, found: DepthMap) -> Photo:
    if photo.depth is not None:
        return photo
    size = (photo.width, photo.height)
    return replace(photo, depth=partial(_depth, found, size), confidence=partial(_confidence, found, size))


# Nearest, because an average across an edge is a depth at which nothing stands; exact, because OpenCV's plain
# one compares corners of pixels, not their middles.
def _depth(found: DepthMap, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.resize(found.depth, size, interpolation=cv2.INTER_NEAREST_EXACT), np.float32)


def _confidence(found: DepthMap, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.resize(found.confidence, size, interpolation=cv2.INTER_NEAREST_EXACT), np.float32)
