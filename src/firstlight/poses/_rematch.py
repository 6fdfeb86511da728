"""Matching once more where two photos' geometry says where to look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pycolmap

from firstlight.poses._features import Features, Matches, Pair
from firstlight.poses._guided import Floats, match_along_lines, sort_into_cells
from firstlight.poses._pairs import Link, Links, link_photos, over_pairs
from firstlight.progress import Progress

RADIUS = 4.0  # pixels that a match may lie off the line that the two-view geometry gives
SURE = 30  # inliers, and half of all matches, that make a geometry worth following: along a wrong line the
# nearest keypoint is as good a match as along a right one, and the pair would vouch for itself

_CALIBRATED = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
_UNCALIBRATED = pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED


def rematch(
    features: Sequence[Features],
    cameras: Sequence[pycolmap.Camera],
    links: Links,
    seed: int,
    progress: Progress,
) -> Links:
    """Verified pairs matched anew along epipolar lines, with all keypoints, and verified again.

    Along a line few keypoints compete, so many more pass the test of being clearly nearest, and points become
    tracks through three photos: where photos are few, these decide whether a third can be placed. A pair that
    gains nothing, or whose geometry has no epipolar lines (a plane, a turn), stays as it was.
    """
    lines = {pair: _fundamental(cameras, pair, link) for pair, link in links.items() if is_sure(link)}
    pairs = [pair for pair, line in lines.items() if line is not None]
    cells = {i: sort_into_cells(features[i], features[i].xy.astype(np.float64)) for p in pairs for i in p}

    def match(pair: Pair) -> Matches:
        line = lines[pair]
        assert line is not None
        return match_along_lines(cells[pair[0]], cells[pair[1]], line, RADIUS)

    matches = over_pairs(match, pairs, "Matching along lines", progress)
    again = link_photos(features, cameras, matches, seed, progress)
    return {pair: better(link, again.get(pair)) for pair, link in links.items()}


def is_sure(link: Link) -> bool:
    """Whether so many matches agree on one geometry that it is no chance."""
    return link.inliers >= SURE and 2 * link.inliers >= len(link.matches)


def better(link: Link, other: Link | None) -> Link:
    """The one that holds more."""
    return link if other is None or other.inliers <= link.inliers else other


def _fundamental(cameras: Sequence[pycolmap.Camera], pair: Pair, link: Link) -> Floats | None:
    """From pixels of the first photo to lines in the second; None where there is no one line."""
    geometry = link.geometry
    if geometry.config == _UNCALIBRATED.value or geometry.config == _UNCALIBRATED:
        return np.asarray(geometry.F)
    if geometry.config == _CALIBRATED.value or geometry.config == _CALIBRATED:
        if any(cameras[i].is_spherical() for i in pair):
            return None
        first, second = (np.linalg.inv(cameras[i].calibration_matrix()) for i in pair)
        return np.asarray(second.T @ geometry.E @ first)
    return None
