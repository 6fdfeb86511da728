"""K-means with weights, for a few thousand points at a time (Lloyd 1982; Arthur and Vassilvitskii 2007)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.distance import cdist

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def seeded(generator: torch.Generator) -> np.random.Generator:
    """NumPy's random numbers, from a draw of torch's."""
    return np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))


def kmeans(points: Floats, weights: Floats, count: int, rng: np.random.Generator, rounds: int = 10) -> Ints:
    """The cluster [N] of each of ``points`` [N, D]; of ``count`` clusters some may be empty.

    ``weights`` [N] ≥ 0 are those of the points in their cluster's mean, and of being a first centre.
    """
    if count >= len(points):
        return np.arange(len(points))
    weights = weights + 1e-12 * max(float(weights.sum()), 1e-30)
    centers = _far_apart(points, weights, count, rng)
    label = np.zeros(len(points), np.int64)
    for _ in range(rounds):
        label = cdist(points, centers, "sqeuclidean").argmin(1)
        total = np.bincount(label, weights, count)
        sums = np.stack([np.bincount(label, weights * axis, count) for axis in points.T], 1)
        centers = np.where(total[:, None] > 0, sums / np.maximum(total, 1e-300)[:, None], centers)
    return label


def parts(points: Floats, most: int, rng: np.random.Generator, branches: int = 8) -> list[Ints]:
    """Groups of at most ``most`` near ``points`` [N, D], as indices: K-means until all are small."""
    groups, open_ = [], [np.arange(len(points))]
    while open_:
        rows = open_.pop()
        if len(rows) <= most:
            groups.append(rows)
            continue
        wanted = min(branches, -(-len(rows) // most))
        label = kmeans(points[rows], np.ones(len(rows)), wanted, rng)
        halves = [rows[label == i] for i in range(wanted)]
        if max(map(len, halves)) == len(rows):  # all in one place
            halves = np.array_split(rows, wanted)
        open_ += [half for half in halves if len(half)]
    return groups


def _far_apart(points: Floats, weights: Floats, count: int, rng: np.random.Generator) -> Floats:
    """First centres [count, D]: each drawn as likely as its squared distance to those before (k-means++)."""
    chosen = [int(rng.choice(len(points), p=weights / weights.sum()))]
    away = np.full(len(points), np.inf)
    for _ in range(1, count):
        away = np.minimum(away, ((points - points[chosen[-1]]) ** 2).sum(1))
        chances = away * weights
        total = chances.sum()
        if total <= 0:  # fewer different points than centres
            chosen.append(int(rng.integers(len(points))))
        else:
            chosen.append(int(rng.choice(len(points), p=chances / total)))
    return points[chosen]
