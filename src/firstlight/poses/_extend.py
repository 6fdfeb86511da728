"""Placing photos with too few known points for PnP, by their geometry with one placed photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import poselib
import pycolmap
from scipy.spatial import cKDTree

from firstlight.poses._features import Features
from firstlight.poses._guided import Floats
from firstlight.poses._pairs import MIN_INLIERS, Links

SURE = 30  # inliers of a pair that may place a photo by itself
_COMMON = 8  # points of the model that the pair shows too: enough to measure its scale by them alone
_NEAR = 0.03  # of the long side: keypoints as near as this to a known point are taken to be as far away
_SPREAD = 0.15  # median |log| by which single measurements of the scale may differ
_PARALLAX = 1.0  # degrees between the rays of the middling match; with less, depths are noise


class _Seen(NamedTuple):
    """Points of the model in one photo."""

    rows: npt.NDArray[np.int64]
    xy: Floats
    depth: Floats


def extend(
    model: pycolmap.Reconstruction,
    cameras: Sequence[pycolmap.Camera],
    features: Sequence[Features],
    links: Links,
    seed: int,
) -> dict[int, pycolmap.Rigid3d]:
    """Image ids of photos that are not in ``model`` → world to camera, for those that a pair can place.

    Two photos give a pose up to the distance between them. Where the pair shows points of the model, these
    give the distance; where it does not, points of the model beside it in the placed photo do, since most
    things are about as far away as what is seen next to them. That is a weak hold, and the verdict says so.
    """
    poses = {i: model.image(i).cam_from_world() for i in model.reg_image_ids()}
    found_lenses = dict(model.cameras)
    lenses = [found_lenses.get(camera.camera_id, camera) for camera in cameras]
    seen = {i: _seen(model, i) for i in poses}
    found: dict[int, pycolmap.Rigid3d] = {}
    order = sorted(links, key=lambda pair: (-links[pair].inliers, pair))
    for pair in order:
        for here, there in (pair, pair[::-1]):
            if here + 1 not in poses or there + 1 in poses or there + 1 in found:
                continue
            if links[pair].inliers < SURE:
                continue
            rows = links[pair].geometry.inlier_matches
            a, b = (rows[:, 0], rows[:, 1]) if here < there else (rows[:, 1], rows[:, 0])
            lens, other = lenses[here], lenses[there]
            pose = _pose_up_to_scale(lens, features[here].xy[a], other, features[there].xy[b], seed)
            if pose is None:
                continue
            rotation, shift, good, depth = pose
            scale = _scale(
                seen[here + 1], a[good], features[here].xy[a[good]], depth, max(lens.width, lens.height)
            )
            if scale is not None:
                step = pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), scale * shift)
                found[there + 1] = step * poses[here + 1]
    return found


def _pose_up_to_scale(
    first: pycolmap.Camera, a: Floats, second: pycolmap.Camera, b: Floats, seed: int
) -> tuple[Floats, Floats, npt.NDArray[np.int64], Floats] | None:
    """Rotation, unit translation, which matches fit, and how far these are from the first camera."""
    if first.is_spherical() or second.is_spherical():
        return None
    options = {"max_epipolar_error": 4.0, "seed": seed}
    pinholes = [
        {
            "model": "SIMPLE_PINHOLE",
            "width": c.width,
            "height": c.height,
            "params": [c.mean_focal_length(), 0, 0],
        }
        for c in (first, second)
    ]
    u, v = (camera.cam_from_img(xy.astype(np.float64)) for camera, xy in ((first, a), (second, b)))
    straight = [u * first.mean_focal_length(), v * second.mean_focal_length()]
    pose, about = poselib.estimate_relative_pose(*straight, *pinholes, options)
    good = np.flatnonzero(about["inliers"])
    if len(good) < MIN_INLIERS:
        return None
    x = np.concatenate([u[good], np.ones((len(good), 1))], 1) @ pose.R.T
    y = np.concatenate([v[good], np.ones((len(good), 1))], 1)
    # depth · x + t lies along y: their cross product is nothing.
    across, shift = np.cross(y, x), np.cross(y, pose.t)
    depth = -(across * shift).sum(1) / np.maximum((across * across).sum(1), 1e-18)
    angle = np.linalg.norm(across, axis=1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))
    if np.rad2deg(np.median(angle)) < _PARALLAX:
        return None
    ahead = depth > 0
    return pose.R, pose.t, good[ahead], depth[ahead]


def _scale(
    seen: _Seen, rows: npt.NDArray[np.uint32], xy: Floats, depth: Floats, long_side: int
) -> float | None:
    """Distance between the two cameras, from how far things are that the model knows."""
    if min(len(seen.rows), len(rows)) == 0:
        return None
    _, of_model, of_pair = np.intersect1d(seen.rows, rows, return_indices=True)
    ratios = seen.depth[of_model] / depth[of_pair]
    if len(ratios) < _COMMON:
        away, nearest = cKDTree(seen.xy).query(xy)
        near = away < _NEAR * long_side
        ratios = seen.depth[nearest[near]] / depth[near]
    ratios = ratios[ratios > 0]
    if len(ratios) < _COMMON:
        return None
    logs = np.log(ratios)
    middle = float(np.median(logs))
    return float(np.exp(middle)) if np.median(np.abs(logs - middle)) < _SPREAD else None


def _seen(model: pycolmap.Reconstruction, image_id: int) -> _Seen:
    image = model.image(image_id)
    rows = [i for i, p in enumerate(image.points2D) if p.has_point3D()]
    points = [image.points2D[i] for i in rows]
    world = np.array([model.point3D(p.point3D_id).xyz for p in points]).reshape(-1, 3)
    pose = image.cam_from_world().matrix()
    return _Seen(
        np.array(rows, np.int64),
        np.array([p.xy for p in points]).reshape(-1, 2),
        world @ pose[2, :3] + pose[2, 3],
    )
