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
    seen = [
        (row, centers[element.image_id])
        for row, point in enumerate(points)
        for element in point.track.elements
        if element.image_id != image_id
    ]
    rows = np.array([row for row, _ in seen], dtype=np.intp)
    xyz = np.array([point.xyz for point in points])
    here = _unit(xyz - centers[image_id])[rows]
    there = _unit(xyz[rows] - np.array([center for _, center in seen]).reshape(-1, 3))
    widest = np.ones(len(points))  # cosines; of a point that no other photo shows, no angle
    np.minimum.at(widest, rows, (here * there).sum(1))
    return float(np.rad2deg(np.arccos(np.clip(np.median(widest), -1, 1))))


def _coverage(model: pycolmap.Reconstruction, image_id: int, xy: Floats) -> float:
    """Share of the cells of a grid over the picture that hold a point."""
    camera = model.camera(model.image(image_id).camera_id)
    cell = np.clip(xy / [camera.width, camera.height] * _CELLS, 0, _CELLS - 1).astype(int)
    return len(np.unique(cell[:, 1] * _CELLS + cell[:, 0])) / _CELLS**2


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-12))
