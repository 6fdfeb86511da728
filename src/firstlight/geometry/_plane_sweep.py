"""Coarse depth of a photo: a plane sweep (Collins 1996), made smooth along paths (Hirschmüller 2008)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt
from numba import get_num_threads

from firstlight.geometry._neighbours import Limits
from firstlight.geometry._path_kernels import add_paths
from firstlight.geometry._views import View, between

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

WINDOW = 5  # pixels of the patches that are compared
FEWEST, MOST = 32, 160  # planes
STEP = 0.4  # cost of going to the next plane from pixel to pixel
JUMP = 5.0  # … and of going to any other, where the picture is even
EDGE = 40.0  # grey levels between two pixels that halve the cost of a jump
PULL = 3.0  # cost of a plane where a known point stands on another
NOISE = 2.0  # variance of grey levels that is not texture
UNSEEN = 1.0  # cost of a plane that no other view can see: as bad as no likeness
_WAYS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))


def swept(view: View, others: Sequence[View], limits: Limits, seen: Doubles, judged_by: int) -> Floats:
    """Inverse depth [H, W] of every pixel of ``view``, within the ``limits``.

    seen: world points [P, 3] in this view, whose pixels are held to their depth.
    """
    planes = _planes(view, others, limits)
    costs = _costs(view, others, planes, judged_by)
    _guide(costs, view, planes, seen)
    total = np.zeros_like(costs)
    for dx, dy in _WAYS:
        add_paths(costs, _jumps(view.grey, dx, dy), STEP, dx, dy, total)
    return _lowest(total, planes)


def _planes(view: View, others: Sequence[View], limits: Limits) -> Floats:
    """Inverse depths a pixel of parallax apart, in the middle of the view that moves most."""
    height, width = view.shape
    middle = np.array([width / 2, height / 2, 1.0])
    moved = 0.0
    for other in others:
        A, b = between(view, other)
        ends = [A @ middle + b * w for w in limits]
        if all(end[2] > 1e-6 for end in ends):
            moved = max(moved, float(np.linalg.norm(ends[0][:2] / ends[0][2] - ends[1][:2] / ends[1][2])))
    count = int(np.clip(np.ceil(moved) + 1, FEWEST, MOST))
    return np.linspace(*limits, count, dtype=np.float32)


def _costs(view: View, others: Sequence[View], planes: Floats, judged_by: int) -> Floats:
    """1 − correlation [H, W, D] with what the others show of each plane: mean of the best ``judged_by``."""
    height, width = view.shape
    grey = view.grey.astype(np.float32)
    mean, variance = _moments(grey)
    costs = np.empty((height, width, len(planes)), np.float32)

    def judge(place: int) -> None:
        best = [np.full(view.shape, np.inf, np.float32) for _ in range(judged_by)]
        for other in others:
            cost = _unlikeness(grey, mean, variance, view, other, float(planes[place]))
            for rank, before in enumerate(best):  # one step of an insertion sort, for all pixels at once
                best[rank], cost = np.minimum(before, cost), np.maximum(before, cost)
        costs[..., place] = sum(best) / np.float32(judged_by)

    with ThreadPoolExecutor(get_num_threads()) as pool:
        list(pool.map(judge, range(len(planes))))
    return costs


def _unlikeness(grey: Floats, mean: Floats, variance: Floats, view: View, other: View, w: float) -> Floats:
    A, b = between(view, other)
    # Pixel p lands at A·p + b·w: a homography of the plane.
    there = A + np.outer(b * w, [0.0, 0.0, 1.0])
    seen = cv2.warpPerspective(
        other.grey, there, grey.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=0
    ).astype(np.float32)
    mean_there, variance_there = _moments(seen)
    together = cv2.blur(grey * seen, (WINDOW, WINDOW)) - mean * mean_there
    alike = together / np.sqrt((variance + NOISE) * (variance_there + NOISE))
    inside = _inside(there, grey.shape, other.shape)
    return np.where(inside, 1 - alike, UNSEEN).astype(np.float32)


def _inside(
    there: npt.NDArray[np.float64], shape: tuple[int, ...], other: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    x, y = np.arange(shape[1], dtype=np.float32)[None], np.arange(shape[0], dtype=np.float32)[:, None]
    H = there.astype(np.float32)
    depth = H[2, 0] * x + H[2, 1] * y + H[2, 2]
    u, v = H[0, 0] * x + H[0, 1] * y + H[0, 2], H[1, 0] * x + H[1, 1] * y + H[1, 2]
    right, low = depth * (other[1] - 1), depth * (other[0] - 1)
    return np.asarray((depth > 0) & (u >= 0) & (v >= 0) & (u <= right) & (v <= low))


def _moments(picture: Floats) -> tuple[Floats, Floats]:
    mean = cv2.blur(picture, (WINDOW, WINDOW))
    return mean, np.maximum(cv2.blur(picture * picture, (WINDOW, WINDOW)) - mean * mean, 0)


def _guide(costs: Floats, view: View, planes: Floats, seen: Doubles) -> None:
    """Make planes dear that a known point is not near; paths carry the word to the pixels around it."""
    pixels, depths = view.project(seen)
    column, row = np.rint(pixels).astype(int).T
    away = np.abs(1 / depths[:, None] - planes) / (planes[1] - planes[0])
    inside = view.inside(pixels, depths)
    costs[row[inside], column[inside]] += PULL * np.minimum(away[inside] / 3, 1).astype(np.float32)


def _jumps(grey: npt.NDArray[np.uint8], dx: int, dy: int) -> Floats:
    """[H, W]: jumping is cheaper across an edge of the picture."""
    before = np.roll(grey, (dy, dx), (0, 1)).astype(np.float32)
    return np.asarray(JUMP / (1 + np.abs(grey - before) / EDGE), np.float32)


def _lowest(total: Floats, planes: Floats) -> Floats:
    """Inverse depth of the least cost, between planes by the parabola through it and its neighbours."""
    best = total.argmin(-1)
    middle = best.clip(1, len(planes) - 2)
    low, here, high = (np.take_along_axis(total, (middle + k)[..., None], -1)[..., 0] for k in (-1, 0, 1))
    bend = low - 2 * here + high
    shift = np.where(
        (bend > 1e-6) & (best == middle), 0.5 * (low - high) / np.maximum(bend, 1e-6), best - middle
    )
    return np.asarray(planes[0] + (middle + shift.clip(-1, 1)) * (planes[1] - planes[0]), np.float32)
