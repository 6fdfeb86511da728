"""Depths that came with photos, brought to the units of cameras that were found without them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from firstlight.scene import Cameras, Capture, Photo, Points

_ENOUGH = 20  # points with a depth, to measure the scale by
_ASKED = 12  # photos whose depths are looked at, evenly spaced


def depths_to_scene(capture: Capture) -> Capture:
    """Scale the photos' depths so that the capture's points lie in them; without enough points, drop them.

    One factor for all: depths of one sensor share their unit. It is the median over points of their distance
    along the viewing direction over the depth that the photo has where they are seen.
    """
    deep = [i for i, photo in enumerate(capture.photos) if photo.depth is not None]
    if not deep or capture.cameras is None:
        return capture
    asked = {deep[i] for i in np.linspace(0, len(deep) - 1, min(_ASKED, len(deep))).round().astype(int)}
    ratios = np.concatenate(
        [np.zeros(0)]
        + [_ratios(capture.photos[i], capture.cameras, i, capture.points) for i in sorted(asked)]
    )
    scale = float(np.median(ratios)) if len(ratios) >= _ENOUGH else None
    return replace(capture, photos=[_scaled(photo, scale) for photo in capture.photos])


def _scaled(photo: Photo, scale: float | None) -> Photo:
    if photo.depth is None:
        return photo
    return replace(photo, depth=None if scale is None else partial(_times, photo, scale))


def _times(photo: Photo, scale: float) -> npt.NDArray[np.float32]:
    assert photo.depth is not None
    return np.asarray(photo.depth() * np.float32(scale), np.float32)


def _ratios(photo: Photo, cameras: Cameras, i: int, points: Points | None) -> npt.NDArray[np.float64]:
    """Distance over depth [N] for the points that the photo shows; lens distortion is left out of account."""
    if points is None or photo.depth is None:
        return np.zeros(0)
    xyz = points.xyz[points.track_point[points.track_photo == i]].double()
    place, z = cameras.select([i]).project(xyz)
    xy = place.floor().long().numpy()
    depth = photo.depth()
    inside = (xy >= 0).all(1) & (xy < [photo.width, photo.height]).all(1) & (z.numpy() > 0)
    there = depth[xy[inside, 1], xy[inside, 0]].astype(np.float64)
    return np.asarray(z.numpy()[inside][there > 0] / there[there > 0])
