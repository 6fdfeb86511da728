"""Numba kernels of multi-view PatchMatch stereo.

The surface at a pixel is a plane, written as the inverse depth there and its slope along the picture:
w(x', y') = w + gx · (x' − x) + gy · (y' − y), which is exact, because the inverse depth of a plane is linear
in pixels. A point of the reference picture then lands in a source picture at A · (x, y, 1) + b · w, where A
and b belong to the pair. Coordinates count from the centre of the first pixel.

A sweep goes over the pixels of one colour of a chessboard and reads planes only of the other one, and random
numbers are a hash of pixel and turn: results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

TAPS = 5  # a patch is 5 × 5 samples …
SPACING = 2  # … two pixels apart
SAMPLES = TAPS * TAPS
REACH = SPACING * (TAPS // 2)
UNSEEN = np.float32(2.0)  # cost of a view that does not see a point: as bad as the opposite picture
NOISE = np.float32(6.0)  # variance of grey levels that is not texture: flatter patches match nothing well
STEEPEST = np.float32(4.0)  # slope of a surface against the picture plane: 76°
STRETCH = np.float32(9.0)  # ratio of areas of a patch in two pictures, from which they show nothing alike
APART = np.float32(3.0)  # pixels; two views that disagree by more than this are no worse
SIDES, STEPS = 4, 7  # good planes that are taken from around a pixel, places where each is looked for
SAME = np.float32(0.01)  # pixels of parallax, by which a plane must differ to be worth a try
_PADDED = 32  # samples in whole vectors; those behind the 25 have no weight
_FAST = {"contract", "reassoc", "nsz", "arcp"}

_PLACES = np.arange(-REACH, REACH + 1, SPACING)
_ACROSS = np.zeros(_PADDED, np.float32)
_DOWN = np.zeros(_PADDED, np.float32)
_ACROSS[:SAMPLES] = np.tile(_PLACES, TAPS)
_DOWN[:SAMPLES] = np.repeat(_PLACES, TAPS)
_NEARNESS = np.exp(-(_ACROSS**2 + _DOWN**2) / (2 * REACH**2)).astype(np.float32)
_ALIKENESS = np.exp(-np.arange(257) / 12).astype(np.float32)


class Sources(NamedTuple):
    """The views that a reference is compared with, their pictures and depth maps one behind the other."""

    A: Floats  # [S, 3, 3] reference → source, see above
    b: Floats  # [S, 3]
    A_back: Floats  # [S, 3, 3] source → reference
    b_back: Floats  # [S, 3]
    starts: Integers  # [S] of each picture in the following
    widths: Integers  # [S]
    heights: Integers  # [S]
    pictures: Floats  # [pixels] grey levels 0 … 255
    maps: Floats  # [pixels] inverse depth, 0 = unknown; or one element, when there are none


class Planes(NamedTuple):
    """One plane a pixel and what it costs."""

    w: Floats  # [H, W] inverse depth
    gx: Floats  # [H, W] its slope, per pixel
    gy: Floats  # [H, W]
    cost: Floats  # [H, W] 0 … 2


def _inline(function: Any) -> Any:
    return njit(fastmath=_FAST, error_model="numpy", forceinline=True)(function)


@_inline
def _uniform(key: Any, draw: Any) -> Any:
    """One of [-1, 1), the same for the same key and draw (splitmix64)."""
    z = key + np.uint64(draw + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float32(np.int64(z >> np.uint64(40))) * np.float32(2.0**-23) - np.float32(1.0)


@_inline
def _key(seed: Any, turn: Any, pixel: Any) -> Any:
    return (
        np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        + np.uint64(turn) * np.uint64(0x2545F4914F6CDD1D)
        + np.uint64(pixel) * np.uint64(0xDA942042E4DD58B5)
    )


@_inline
def _patch(grey: Any, x: Any, y: Any, weights: Any, values: Any) -> Any:
    """Bilateral ``weights`` that sum to 1, weighted ``values`` less their mean; their variance."""
    height, width = grey.shape
    centre = grey[y, x]
    total = np.float32(0.0)
    mean = np.float32(0.0)
    for i in range(SAMPLES):
        yy = min(max(y + np.int64(_DOWN[i]), 0), height - 1)
        xx = min(max(x + np.int64(_ACROSS[i]), 0), width - 1)
        value = grey[yy, xx]
        weight = _NEARNESS[i] * _ALIKENESS[int(abs(value - centre))]
        weights[i] = weight
        values[i] = value
        total += weight
        mean += weight * value
    mean /= total
    variance = np.float32(0.0)
    for i in range(SAMPLES):
        weight = weights[i] / total
        value = values[i] - mean
        variance += weight * value * value
        weights[i] = weight
        values[i] = weight * value
    return variance


@_inline
def _correlation(
    u: Any, v: Any, ux: Any, uy: Any, vx: Any, vy: Any, k: Any, s: Any, work: Any, variance: Any
) -> Any:
    """Of the reference patch and view ``k`` around (u, v), the patch along (ux, vx) and (uy, vy)."""
    start, width = np.int32(s.starts[k]), np.int32(s.widths[k])
    zero = np.float32(0.0)
    most_u = np.float32(s.widths[k]) - np.float32(1.001)
    most_v = np.float32(s.heights[k]) - np.float32(1.001)
    pictures, across, down, places, seen = s.pictures, work.across, work.down, work.places, work.seen
    # One loop for each thing to do: LLVM vectorises the first and the last; the loads in between forbid it.
    for i in range(_PADDED):
        uu = min(max(u + ux * _ACROSS[i] + uy * _DOWN[i], zero), most_u)
        vv = min(max(v + vx * _ACROSS[i] + vy * _DOWN[i], zero), most_v)
        iu, iv = np.int32(uu), np.int32(vv)
        across[i] = uu - np.float32(iu)
        down[i] = vv - np.float32(iv)
        places[i] = start + iv * width + iu
    for i in range(SAMPLES):
        at = np.int64(places[i])
        top = pictures[at] + across[i] * (pictures[at + 1] - pictures[at])
        at += np.int64(width)
        low = pictures[at] + across[i] * (pictures[at + 1] - pictures[at])
        seen[i] = top + down[i] * (low - top)
    mean, square, product = zero, zero, zero
    for i in range(_PADDED):
        weighted = work.weights[i] * seen[i]
        mean += weighted
        square += weighted * seen[i]
        product += work.values[i] * seen[i]
    spread = max(square - mean * mean, zero)
    return product / np.sqrt((variance + NOISE) * (spread + NOISE))


@_inline
def _disagreement(u: Any, v: Any, fx: Any, fy: Any, k: Any, s: Any) -> Any:
    """Pixels between (fx, fy) and where (u, v) of view ``k`` comes back to by that view's own depth."""
    place = s.starts[k] + np.int64(v + np.float32(0.5)) * s.widths[k] + np.int64(u + np.float32(0.5))
    there = s.maps[place]
    if not there > 0:
        return APART
    back, shift = s.A_back, s.b_back
    q2 = back[k, 2, 0] * u + back[k, 2, 1] * v + back[k, 2, 2] + shift[k, 2] * there
    if not q2 > np.float32(1e-6):
        return APART
    dx = (back[k, 0, 0] * u + back[k, 0, 1] * v + back[k, 0, 2] + shift[k, 0] * there) / q2 - fx
    dy = (back[k, 1, 0] * u + back[k, 1, 1] * v + back[k, 1, 2] + shift[k, 1] * there) / q2 - fy
    return min(np.sqrt(dx * dx + dy * dy), APART)


@_inline
def _view_cost(
    w: Any, gx: Any, gy: Any, x: Any, y: Any, k: Any, s: Any, work: Any, variance: Any, geometric: Any
) -> Any:
    """1 − correlation with what view ``k`` shows of the plane, and ``geometric`` × pixels of disagreement."""
    A, b = s.A, s.b
    fx, fy = np.float32(x), np.float32(y)
    q2 = A[k, 2, 0] * fx + A[k, 2, 1] * fy + A[k, 2, 2] + b[k, 2] * w
    if not q2 > np.float32(1e-6):
        return UNSEEN
    one = np.float32(1.0) / q2
    u = (A[k, 0, 0] * fx + A[k, 0, 1] * fy + A[k, 0, 2] + b[k, 0] * w) * one
    v = (A[k, 1, 0] * fx + A[k, 1, 1] * fy + A[k, 1, 2] + b[k, 1] * w) * one
    if not (u >= 0 and v >= 0 and u <= s.widths[k] - 1 and v <= s.heights[k] - 1):
        return UNSEEN
    d2x, d2y = A[k, 2, 0] + b[k, 2] * gx, A[k, 2, 1] + b[k, 2] * gy
    ux = (A[k, 0, 0] + b[k, 0] * gx - u * d2x) * one
    uy = (A[k, 0, 1] + b[k, 0] * gy - u * d2y) * one
    vx = (A[k, 1, 0] + b[k, 1] * gx - v * d2x) * one
    vy = (A[k, 1, 1] + b[k, 1] * gy - v * d2y) * one
    area = ux * vy - uy * vx
    if not (area * STRETCH > 1 and area < STRETCH):
        return UNSEEN
    cost = np.float32(1.0) - _correlation(u, v, ux, uy, vx, vy, k, s, work, variance)
    if geometric > 0:
        cost += geometric * _disagreement(u, v, fx, fy, k, s)
    return cost


@_inline
def _cost(
    w: Any, gx: Any, gy: Any, x: Any, y: Any, s: Any, work: Any, variance: Any, best: Any, geometric: Any
) -> Any:
    """Mean over the ``best`` views that see the plane most alike."""
    costs = work.costs
    for k in range(len(s.starts)):
        cost = _view_cost(w, gx, gy, x, y, k, s, work, variance, geometric)
        place = k
        while place > 0 and costs[place - 1] > cost:
            costs[place] = costs[place - 1]
            place -= 1
        costs[place] = cost
    total = np.float32(0.0)
    for k in range(best):
        total += costs[k]
    return total / np.float32(best)


class _Work(NamedTuple):
    """What a thread needs for a patch."""

    weights: Floats
    values: Floats
    seen: Floats
    across: Floats
    down: Floats
    places: npt.NDArray[np.int32]
    costs: Floats


@_inline
def _room(views: Any) -> Any:
    return _Work(
        np.zeros(_PADDED, np.float32), np.zeros(_PADDED, np.float32), np.zeros(_PADDED, np.float32),
        np.zeros(_PADDED, np.float32), np.zeros(_PADDED, np.float32), np.zeros(_PADDED, np.int32),
        np.zeros(views, np.float32),
    )  # fmt: skip


@njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
def evaluate(grey: Floats, planes: Planes, sources: Sources, best: int, geometric: float) -> None:
    """Write what every pixel's plane costs."""
    height, width = grey.shape
    ws, gxs, gys, costs = planes  # Numba loses writes to a tuple's arrays in a parallel loop
    for y in prange(height):
        work = _room(len(sources.starts))
        for x in range(width):
            variance = _patch(grey, x, y, work.weights, work.values)
            costs[y, x] = _cost(
                ws[y, x], gxs[y, x], gys[y, x], x, y, sources, work, variance, best, geometric
            )


@_inline
def _good_neighbour(cost: Any, x: Any, y: Any, side: Any) -> Any:
    """The cheapest pixel to one side, in a V that begins at the pixel; its own colour is not among them."""
    height, width = cost.shape
    sx = 1 if side == 0 else (-1 if side == 1 else 0)
    sy = 1 if side == 2 else (-1 if side == 3 else 0)
    least, bx, by = np.float32(1e9), -1, -1
    for step in range(STEPS):
        ahead = 1 + (step + 1) // 2  # with across: (1, 0), (2, ±1), (3, ±2), (4, ±3)
        across = ahead - 1 if step % 2 == 1 else 1 - ahead
        xx, yy = x + sx * ahead + sy * across, y + sy * ahead + sx * across
        if 0 <= xx < width and 0 <= yy < height and cost[yy, xx] < least:
            least, bx, by = cost[yy, xx], xx, yy
    return bx, by


@_inline
def _one_pixel(w: Any, x: Any, y: Any, s: Any) -> Any:
    """The change of inverse depth that moves a point by one pixel in the view where it moves most."""
    A, b = s.A, s.b
    fx, fy = np.float32(x), np.float32(y)
    most = np.float32(1e-12)
    for k in range(len(b)):
        q2 = A[k, 2, 0] * fx + A[k, 2, 1] * fy + A[k, 2, 2] + b[k, 2] * w
        if q2 > np.float32(1e-6):
            u = (A[k, 0, 0] * fx + A[k, 0, 1] * fy + A[k, 0, 2] + b[k, 0] * w) / q2
            v = (A[k, 1, 0] * fx + A[k, 1, 1] * fy + A[k, 1, 2] + b[k, 1] * w) / q2
            du, dv = (b[k, 0] - u * b[k, 2]) / q2, (b[k, 1] - v * b[k, 2]) / q2
            most = max(most, np.sqrt(du * du + dv * dv))
    return np.float32(1.0) / most


@_inline
def _too_steep(w: Any, gx: Any, gy: Any, x: Any, y: Any, lens: Any) -> Any:
    """Whether a plane turns away from the viewing axis; its normal is (fx·gx, fy·gy, along) up to scale."""
    along = w - gx * (np.float32(x) - lens[2]) - gy * (np.float32(y) - lens[3])
    nx, ny = lens[0] * gx, lens[1] * gy
    return not along > 0 or nx * nx + ny * ny > STEEPEST * STEEPEST * along * along


@njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
def sweep(
    grey: Floats, planes: Planes, sources: Sources, best: int, geometric: float,
    lens: Floats, limits: Floats, colour: int, seed: int, turn: int, wide: float, draws: int,
) -> None:  # fmt: skip
    """Improve the planes of one colour: by those of four good neighbours, then by trying ones close to it.

    lens: fx, fy, cx, cy. limits: the least and the largest inverse depth. wide: how far the tried planes lie
    from the present one at most, in pixels of parallax.
    """
    height, width = grey.shape
    ws, gxs, gys, costs = planes  # see above
    for y in prange(height):
        work = _room(len(sources.starts))
        for x in range((y + colour) % 2, width, 2):
            variance = _patch(grey, x, y, work.weights, work.values)
            w, gx, gy, cost = ws[y, x], gxs[y, x], gys[y, x], costs[y, x]
            pixel = _one_pixel(w, x, y, sources)
            key = _key(seed, turn, y * width + x)
            reach = pixel * np.float32(wide)
            for candidate in range(SIDES + draws):
                if candidate < SIDES:
                    bx, by = _good_neighbour(costs, x, y, candidate)
                    if bx < 0:
                        continue
                    gx1, gy1 = gxs[by, bx], gys[by, bx]
                    w1 = ws[by, bx] + gx1 * np.float32(x - bx) + gy1 * np.float32(y - by)
                    bend = (abs(gx1 - gx) + abs(gy1 - gy)) * np.float32(REACH)
                    if abs(w1 - w) + bend < SAME * pixel:
                        continue
                else:
                    draw = candidate - SIDES
                    slope = reach / np.float32(REACH)
                    w1, gx1, gy1 = w, gx, gy
                    if draw % 3 != 2:
                        w1 += reach * _uniform(key, 3 * draw)
                    if draw % 3 != 1:
                        gx1 += slope * _uniform(key, 3 * draw + 1)
                        gy1 += slope * _uniform(key, 3 * draw + 2)
                    reach *= np.float32(0.6)
                if not limits[0] <= w1 <= limits[1] or _too_steep(w1, gx1, gy1, x, y, lens):
                    continue
                cost1 = _cost(w1, gx1, gy1, x, y, sources, work, variance, best, geometric)
                if cost1 < cost:
                    w, gx, gy, cost = w1, gx1, gy1, cost1
            ws[y, x], gxs[y, x], gys[y, x], costs[y, x] = w, gx, gy, cost
