"""The focal length that photos through one lens share, where EXIF is silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import poselib
import pycolmap

from firstlight.poses._features import Features, Matches, Pair

Floats = npt.NDArray[np.float64]

# Of the long side: from 90° to 19° along it.
_FOCALS = np.geomspace(0.5, 3.0, 13)
_FINE = 5  # more between the neighbours of the best
PAIRS = 12  # those that share most: more cost time and hardly move the minimum
_MATCHES = 400  # of a pair that are looked at
_TOLERANCE = 0.002  # of the long side, that a match may lie off its epipolar line
_MIN_MATCHES = 30
_CLEAR = 0.8  # the best focal length must leave at most this share of what the middling one leaves

_CONTRADICTS = 0.5  # of what EXIF's focal length leaves: then it is not believed


def search_focals(
    cameras: Sequence[pycolmap.Camera],
    features: Sequence[Features],
    matches: Mapping[Pair, Matches],
    seed: int,
) -> None:
    """Set the focal length of each shared lens where the matches betray it.

    ``cameras``: one a photo, the same object for photos through one lens. A single pair tells its focal
    length poorly; all pairs of a lens together tell it to some percent: for each of a range of focal lengths
    every pair's essential matrix is fitted (five points in LO-RANSAC), and the one that leaves the smallest
    truncated Sampson errors over all pairs is kept. A lens whose pairs do not agree keeps what it had, and so
    does one of which EXIF tells unless the matches contradict it clearly: some cameras write nonsense.
    """
    for camera in {camera.camera_id: camera for camera in cameras}.values():
        if camera.is_spherical():
            continue
        pairs = [
            (i, j) for i, j in matches if cameras[i].camera_id == cameras[j].camera_id == camera.camera_id
        ]
        pairs = sorted(pairs, key=lambda pair: (-len(matches[pair].rows), pair))[:PAIRS]
        middle = np.array([camera.width, camera.height]) / 2
        points = [
            (features[i].xy[rows[:, 0]] - middle, features[j].xy[rows[:, 1]] - middle)
            for (i, j), rows in ((pair, matches[pair].rows) for pair in pairs)
        ]
        long_side = max(camera.width, camera.height)
        prior = camera.mean_focal_length() if camera.has_prior_focal_length else None
        focal = shared_focal([p for p in points if len(p[0]) >= _MIN_MATCHES], long_side, seed, prior)
        if focal is not None:
            camera.params = [focal, *camera.params[1:]]
            camera.has_prior_focal_length = True


def shared_focal(
    pairs: Sequence[tuple[Floats, Floats]], long_side: float, seed: int, prior: float | None = None
) -> float | None:
    """Focal length in pixels from matches [M, 2] and [M, 2], in pixels from the middle, of several pairs."""
    with ThreadPoolExecutor(2) as pool:

        def left_over(focals: Floats) -> Floats:
            tasks = [(a, b, focal * long_side, long_side, seed) for a, b in consistent for focal in focals]
            left = np.array(list(pool.map(lambda task: _left_over(*task), tasks)))
            return np.asarray(left.reshape(len(consistent), len(focals)).sum(0))

        found = pool.map(lambda pair: _consistent(pair[0], pair[1], long_side, seed), pairs)
        consistent = [pair for pair in found if pair is not None]
        if not consistent:
            return None
        coarse = left_over(_FOCALS)
        best = int(coarse.argmin())
        if best in (0, len(_FOCALS) - 1) or coarse[best] > _CLEAR * np.median(coarse):
            return None
        fine = np.geomspace(_FOCALS[best - 1], _FOCALS[best + 1], _FINE + 2)[1:-1]
        left = left_over(fine)
        if prior is not None and left.min() > _CONTRADICTS * left_over(np.array([prior / long_side]))[0]:
            return None
        return float(fine[left.argmin()] * long_side)


def _consistent(a: Floats, b: Floats, long_side: float, seed: int) -> tuple[Floats, Floats] | None:
    """Matches that some fundamental matrix explains, at most ``_MATCHES`` of them."""
    _, about = poselib.estimate_fundamental(a, b, _ransac(long_side, seed))
    rows = np.flatnonzero(about["inliers"])
    if len(rows) < _MIN_MATCHES:
        return None
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MATCHES)).astype(int)]
    return a[rows], b[rows]


def _left_over(a: Floats, b: Floats, focal: float, long_side: float, seed: int) -> float:
    """Sum of squared Sampson errors in pixels, each truncated, of the best essential matrix at a focal."""
    camera = {"model": "SIMPLE_PINHOLE", "width": 1, "height": 1, "params": [focal, 0.0, 0.0]}
    pose, _ = poselib.estimate_relative_pose(
        a, b, camera, camera, _ransac(long_side, seed) | {"max_iterations": 200}
    )
    x, y, z = pose.t
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ pose.R
    ha, hb = (np.concatenate([p / focal, np.ones((len(p), 1))], 1) for p in (a, b))
    to_b, to_a = ha @ essential.T, hb @ essential
    gradient = np.square(to_b[:, :2]).sum(1) + np.square(to_a[:, :2]).sum(1)
    error = np.square((to_b * hb).sum(1)) / np.maximum(gradient, 1e-18) * focal**2
    return float(np.minimum(error, (_TOLERANCE * long_side) ** 2).sum())


def _ransac(long_side: float, seed: int) -> dict[str, Any]:
    return {"max_epipolar_error": _TOLERANCE * long_side, "seed": seed, "min_iterations": 50}
