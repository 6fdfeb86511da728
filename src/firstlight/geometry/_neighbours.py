"""Which photos a photo is compared with, and how near and far things may be in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from firstlight.geometry._views import View
from firstlight.scene import Points
from firstlight.scene.cameras import ROUNDING

Doubles = npt.NDArray[np.float64]

FEW = 12  # points that two photos share, from which on points speak for what they see in common
MANY = 10_000  # of those that a view sees, of which no more are asked
ASKED = 2_000  # of them about each other view
MAX_ERROR = 2.0  # pixels of reprojection error, above which a point is not believed
NARROW = 4.0  # degrees between two views of a point; below it depth becomes uncertain …
WIDE = 20.0  # … and above it pictures of the same thing become unlike, by half at
HALF = 20.0  # degrees more
LEAST = 0.02  # share of what a photo sees, that a neighbour must see too
FARTHEST = 0.25  # pixels of parallax that the farthest things show, where no points tell how far they are
NEARER, FURTHER = 1.5, 3.0  # times nearer and farther than points show is looked


class Limits(NamedTuple):
    """Inverse depths between which a photo's surfaces are looked for."""

    farthest: float
    nearest: float


def choose_neighbours(views: Sequence[View], points: Points | None, most: int) -> list[list[int]]:
    """For each view up to ``most`` others that see the same things at a useful angle, the best first."""
    chosen = []
    for i, view in enumerate(views):
        seen = _evenly(points_in(i, view, points), ASKED)
        scores = np.array(
            [0.0 if k == i else _usefulness(view, other, seen) for k, other in enumerate(views)]
        )
        order = np.argsort(-scores, kind="stable")[:most]
        chosen.append([int(k) for k in order if scores[k] > LEAST])
    return chosen


def points_in(index: int, view: View, points: Points | None) -> Doubles:
    """World points [P, 3] that a view sees, at most MANY; none where they are too few to say much."""
    if points is not None:
        xyz = points.xyz.double().numpy()
        good = np.isfinite(xyz).all(1) & ~(points.error.numpy() > MAX_ERROR)
        if len(points.track_point):
            tracked = points.track_point[points.track_photo == index].numpy()
            xyz, good = xyz[tracked], good[tracked]
        xyz = xyz[good]
        xyz = xyz[view.inside(*view.project(xyz))]
        if len(xyz) >= FEW:
            return _evenly(xyz, MANY)
    return np.zeros((0, 3))


def _evenly(points: Doubles, most: int) -> Doubles:
    """Every so many-th of them: a scan that came without tracks has millions."""
    return np.asarray(points[:: -(-len(points) // most) or 1])


def _usefulness(view: View, other: View, seen: Doubles) -> float:
    """The share of a view's points that another sees, each weighed by the angle between the two."""
    if len(seen) == 0:
        return _usefulness_of_axes(view, other)
    in_other = other.inside(*other.project(seen))
    a, b = seen - view.center, seen - other.center
    cosine = (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)
    angle = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
    return float((in_other * _angle_weight(angle)).mean())


def _angle_weight(angle: Doubles) -> Doubles:
    narrow = np.minimum(angle / NARROW, 1.0) ** 2
    return np.asarray(narrow * 0.5 ** (np.maximum(angle - WIDE, 0.0) / HALF))


def _usefulness_of_axes(view: View, other: View) -> float:
    """The same where nothing is known about the scene: views that look alike, but not from one place."""
    cosine = float(view.viewmat[2, :3] @ other.viewmat[2, :3])
    reach = max(np.linalg.norm(one.center) for one in (view, other))
    if np.linalg.norm(view.center - other.center) <= ROUNDING * reach:
        return 0.0
    angle = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
    return float(0.5 ** (angle / HALF))


def depth_limits(
    index: int, views: Sequence[View], neighbours: Sequence[int], points: Points | None
) -> Limits:
    """Where to look for the surfaces of a view: around its points; without any, where parallax shows."""
    view = views[index]
    seen = points_in(index, view, points)
    if len(seen):
        inverse = 1 / view.project(seen)[1]
        low, high = np.quantile(inverse, [0.02, 0.98])
        return Limits(float(low / FURTHER), float(high * NEARER))
    # Moving by t sideways shifts a point of inverse depth w by focal · t · w pixels.
    moved = [np.linalg.norm(views[k].center - view.center) * view.K[0, 0] for k in neighbours]
    return Limits(FARTHEST / max(moved), max(view.shape) / max(moved))
