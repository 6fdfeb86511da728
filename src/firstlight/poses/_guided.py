"""Matching where the cameras are known: only along the line on which a point must lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from firstlight.poses._features import Features, Matches
from firstlight.poses._matching import RATIO, angle_ratio

Floats = npt.NDArray[np.float64]
_CELL = 24.0  # pixels
_SAME = 3.0  # pixels: a second best this near to the best is the same thing, found twice


@dataclass(frozen=True, eq=False)
class Sorted:
    """Keypoints of one photo as a straight lens would show them, sorted into cells of a grid."""

    xy: Floats  # [N, 2] pixels from the middle
    descriptors: npt.NDArray[Any]  # [N, D]
    length: float  # of a descriptor
    place: npt.NDArray[np.int64]  # [N] which keypoint of the photo each is
    start: npt.NDArray[np.int64]  # [rows · columns + 1] where each cell begins
    columns: int
    rows: int
    corner: Floats  # [2]


def sort_into_cells(features: Features, straight: Floats) -> Sorted:
    """``straight`` [N, 2]: the keypoints without distortion; those that are not finite are left out."""
    place = np.flatnonzero(np.isfinite(straight).all(1))
    xy = straight[place]
    corner = xy.min(0) if len(xy) else np.zeros(2)
    cell = np.floor((xy - corner) / _CELL).astype(np.int64)
    columns, rows = (int(n) + 1 for n in (cell.max(0) if len(cell) else (0, 0)))
    number = cell[:, 1] * columns + cell[:, 0]
    order = np.argsort(number, kind="stable")
    start = np.searchsorted(number[order], np.arange(rows * columns + 1))
    place = place[order]
    descriptors = np.ascontiguousarray(features.descriptors[place])
    return Sorted(xy[order], descriptors, features.length, place, start, columns, rows, corner)


def match_along_lines(a: Sorted, b: Sorted, fundamental: Floats, radius: float) -> Matches:
    """Keypoints that are each other's nearest among those that geometry allows.

    ``fundamental`` [3, 3] takes a point of ``a`` to its line in ``b``, both as ``Sorted`` holds them;
    ``radius``: pixels that a match may lie off that line.
    """
    if min(len(a.xy), len(b.xy)) == 0:
        return Matches.none()
    lines = np.concatenate([a.xy, np.ones((len(a.xy), 1))], 1) @ fundamental.T
    lines /= np.maximum(np.linalg.norm(lines[:, :2], axis=1, keepdims=True), 1e-12)
    best, second, index, back = _search(
        lines,
        a.descriptors,
        b.xy,
        b.descriptors,
        b.start,
        b.columns,
        b.rows,
        b.corner[0],
        b.corner[1],
        radius,
    )
    ratio = angle_ratio(best, second, a.length)
    i = np.flatnonzero((ratio < RATIO) & (index >= 0))
    i = i[back[index[i]] == i]
    rows = np.stack([a.place[i], b.place[index[i]]], 1).astype(np.uint32)
    return Matches(rows, (1 - ratio[i]).astype(np.float32))


def off_lines(x: Floats, y: Floats, fundamental: Floats) -> Floats:
    """Pixels [N] by which points ``y`` [N, 2] lie off the lines of points ``x`` [N, 2] in their photo."""
    line = np.c_[x, np.ones(len(x))] @ fundamental.T
    across = (line[:, :2] * y).sum(1) + line[:, 2]
    return np.asarray(np.abs(across) / np.maximum(np.linalg.norm(line[:, :2], axis=1), 1e-12))


@numba.njit(nogil=True, cache=True)
def _search(lines, da, xb, db, start, columns, rows, x0, y0, radius):  # type: ignore[no-untyped-def]
    n, m = lines.shape[0], xb.shape[0]
    best, second, index = np.full(n, -1), np.full(n, -1), np.full(n, -1)
    best_back, back = np.full(m, -1), np.full(m, -1)
    for i in range(n):
        a, b, c = lines[i]
        # Walk the grid in the direction in which the line runs, so that each step meets few cells.
        level = abs(b) >= abs(a)
        steps, across = (columns, rows) if level else (rows, columns)
        along, aside, s0, t0 = (a, b, x0, y0) if level else (b, a, y0, x0)
        for step in range(steps):
            near = -(along * (s0 + step * _CELL) + c) / aside
            far = -(along * (s0 + (step + 1) * _CELL) + c) / aside
            pad = radius / abs(aside)
            low = max(0, int(np.floor((min(near, far) - pad - t0) / _CELL)))
            high = min(across - 1, int(np.floor((max(near, far) + pad - t0) / _CELL)))
            for other in range(low, high + 1):
                cell = other * columns + step if level else step * columns + other
                for j in range(start[cell], start[cell + 1]):
                    if abs(a * xb[j, 0] + b * xb[j, 1] + c) > radius:
                        continue
                    alike = _dot(da[i], db[j])
                    if alike > best_back[j]:
                        best_back[j], back[j] = alike, i
                    apart = True
                    if index[i] >= 0:
                        dx, dy = xb[j, 0] - xb[index[i], 0], xb[j, 1] - xb[index[i], 1]
                        apart = dx * dx + dy * dy > _SAME * _SAME
                    if alike > best[i]:
                        if apart:
                            second[i] = best[i]
                        best[i], index[i] = alike, j
                    elif apart and alike > second[i]:
                        second[i] = alike
    return best, second, index, back


@numba.njit(nogil=True, cache=True)
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = np.int32(0)  # of int32 on purpose: LLVM then multiplies and adds sixteen at a time
    for k in range(a.shape[0]):
        total += np.int32(a[k]) * np.int32(b[k])
    return total
