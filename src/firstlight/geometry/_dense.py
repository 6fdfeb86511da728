"""From photos with cameras to depth maps and a dense cloud."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from firstlight.geometry._depth_map import DepthMap
from firstlight.geometry._fuse import Cloud, check, fuse
from firstlight.geometry._neighbours import choose_neighbours, depth_limits, points_in
from firstlight.geometry._stereo import Effort, consistent, photometric
from firstlight.geometry._views import View, load_views
from firstlight.progress import Progress, Silent
from firstlight.scene import Cameras, Capture

MOST_NEIGHBOURS = 4  # photos that a photo is compared with; votes have room for eight
MAX_SIZE = 504  # pixels of the long side that depth is worked out at
MAX_POINTS = 200_000


@dataclass(frozen=True, eq=False)
class Geometry:
    """What ``dense_geometry`` found."""

    maps: list[DepthMap]  # one a photo, at the size of ``cameras``
    cameras: Cameras  # those of the capture, for the working size
    cloud: Cloud
    neighbours: list[list[int]]  # the photos that each photo was compared with

    def attach(self, capture: Capture) -> Capture:
        """The capture with the cloud as its points, and with these depths where a photo had none."""
        photos = [
            photo if photo.depth else replace(photo, depth=partial(_enlarged, one, photo.width, photo.height))
            for photo, one in zip(capture.photos, self.maps, strict=True)
        ]
        return replace(capture, photos=photos, points=self.cloud.points)


def _enlarged(found: DepthMap, width: int, height: int) -> npt.NDArray[np.float32]:
    # Nearest, because an average across an edge is a depth at which nothing stands.
    return np.asarray(cv2.resize(found.depth, (width, height), interpolation=cv2.INTER_NEAREST), np.float32)


def dense_geometry(
    capture: Capture,
    *,
    seed: int = 0,
    max_size: int = MAX_SIZE,
    max_points: int = MAX_POINTS,
    effort: Effort | None = None,
    progress: Progress | None = None,
) -> Geometry:
    """Find the surface behind every pixel that at least two photos show, by multi-view PatchMatch stereo.

    capture: photos with pinhole cameras and, as far as there are any, sparse points, which say how far things
    are and where to begin. seed: the same one gives the same result bit for bit. max_size: of the long side
    in pixels at which depth is worked out. max_points: of the cloud. What photos cannot tell (no overlap, no
    parallax, no texture) has no depth, not a wrong one; a photo without a useful neighbour has an empty map.

    ValueError when the capture has no cameras, or lenses that distort (``poses.undistort`` first).
    """
    if capture.cameras is None:
        raise ValueError("the capture has no cameras")
    if not capture.cameras.undistorted:
        raise ValueError("dense geometry is made from pinhole cameras; undistort the capture first")
    progress, effort = progress or Silent(), effort or Effort()
    capture = capture.resized(max_size)
    assert capture.cameras is not None
    with progress.stage("Looking at surfaces", len(capture)) as stage:
        views = load_views(capture, stage)
        neighbours = choose_neighbours(views, capture.points, MOST_NEIGHBOURS)
    maps = _maps(views, capture, neighbours, seed, effort, progress)
    with progress.stage("Joining surfaces", len(capture)) as stage:
        checked = []
        for i, view in enumerate(views):
            near = neighbours[i]
            checked.append(check(view, maps[i], [views[k] for k in near], [maps[k] for k in near]))
            stage.advance()
        del maps
        cloud = fuse(views, capture.photos, neighbours, checked, max_points, np.random.default_rng(seed))
    progress.note(f"{len(cloud):,} points on surfaces that at least two photos show")
    return Geometry([one.map for one in checked], capture.cameras, cloud, neighbours)


def _maps(
    views: list[View], capture: Capture, neighbours: list[list[int]], seed: int, effort: Effort,
    progress: Progress,
) -> list[DepthMap]:  # fmt: skip
    """A depth for every pixel of every photo, right or wrong."""
    maps: list[DepthMap] = []
    limits = [
        depth_limits(i, views, near, capture.points) if near else None for i, near in enumerate(neighbours)
    ]
    with progress.stage("Measuring depth", 2 * len(views)) as stage:
        for i, (view, limit) in enumerate(zip(views, limits, strict=True)):
            others = [views[k] for k in neighbours[i]]
            if limit is None:
                maps.append(_empty(view))
            else:
                seen = points_in(i, view, capture.points)
                maps.append(photometric(view, others, limit, seen, seed + 7919 * i, effort))
            stage.advance()
        for i, (view, limit) in enumerate(zip(views, limits, strict=True)):
            near = neighbours[i]
            if limit is not None:
                others, theirs = [views[k] for k in near], [maps[k] for k in near]
                maps[i] = consistent(view, others, maps[i], theirs, limit, seed + 7919 * i, effort)
            stage.advance()
    return maps


def _empty(view: View) -> DepthMap:
    zero = np.zeros(view.shape, np.float32)
    return DepthMap.pack(zero, np.zeros((*view.shape, 3), np.float32), zero)
