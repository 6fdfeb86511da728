"""How firmly a placed photo is held by the points that are seen in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pycolmap

Floats = npt.NDArray[np.float64]

WEAK = 0.25  # below it a camera may be off by degrees; said on the screen
_CELLS = 6  # a side, of the grid whose filled cells tell how widely points are spread


def confidence(model: pycolmap.Reconstruction, image_id: int) -> float:
    """From 0 to 1; a product of four measures that each rise from 0 and saturate.

    How many points the photo shows; the angle from which the middling one of them is seen elsewhere, as rays
    that are nearly parallel say little; how much of the picture they cover; and how many of them two other
    photos show, as a photo that shares only pairs has no certain distance from the rest (two photos alone
    need none).
    """
    seen = [p for p in model.image(image_id).points2D if p.has_point3D()]
    if not seen:
        return 0.0
    points = [model.point3D(p.point3D_id) for p in seen]
    measures = [
        _saturating(len(seen), 40),
        _saturating(_angle(model, image_id, points), 1.5),
        _saturating(_coverage(model, image_id, np.array([p.xy for p in seen])), 0.1),
    ]
    if model.num_reg_images() > 2:
        shared = sum(len({e.image_id for e in point.track.elements}) > 2 for point in points)
        measures.append(_saturating(shared, 10))
    return float(np.prod(measures))


def _saturating(value: float, half: float) -> float:
    return value / (value + half)


def _angle(model: pycolmap.Reconstruction, image_id: int, points: list[pycolmap.Point3D]) -> float:
    """Median over the points of the widest angle, in degrees, between this photo's ray and another's."""
    centers = {i: model.image(i).projection_center() for i in model.reg_image_ids()}
    widest = []
    for point in points:
        here = _unit(point.xyz - centers[image_id])
        others = {e.image_id for e in point.track.elements} - {image_id}
        widest.append(min((float(here @ _unit(point.xyz - centers[i])) for i in others), default=1.0))
    return float(np.rad2deg(np.arccos(np.clip(np.median(widest), -1, 1))))


def _coverage(model: pycolmap.Reconstruction, image_id: int, xy: Floats) -> float:
    """Share of the cells of a grid over the picture that hold a point."""
    camera = model.camera(model.image(image_id).camera_id)
    cell = np.clip(xy / [camera.width, camera.height] * _CELLS, 0, _CELLS - 1).astype(int)
    return len(np.unique(cell[:, 1] * _CELLS + cell[:, 0])) / _CELLS**2


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
