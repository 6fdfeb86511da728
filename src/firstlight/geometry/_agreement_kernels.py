"""Numba kernels that hold depth maps against each other.

Conventions are those of ``_patchmatch_kernels``: inverse depths, and A, b that lead from pixel to pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from firstlight.geometry._patchmatch_kernels import Sources

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(fastmath=_FAST, error_model="numpy", forceinline=True)
def _answer(x: Any, y: Any, w: Any, k: Any, s: Any) -> Any:
    """What view ``k`` says to a point: pixels off, inverse depth, precision, depth.

    The precision is the square of the pixels by which the point moves in the view for a unit of inverse
    depth. Pixels are negative where the view says nothing.
    """
    zero, nothing = np.float32(0.0), np.float32(-1.0)
    A, b, back, shift = s.A, s.b, s.A_back, s.b_back
    fx, fy = np.float32(x), np.float32(y)
    q2 = A[k, 2, 0] * fx + A[k, 2, 1] * fy + A[k, 2, 2] + b[k, 2] * w
    if not q2 > np.float32(1e-6):
        return nothing, zero, zero, zero
    u = (A[k, 0, 0] * fx + A[k, 0, 1] * fy + A[k, 0, 2] + b[k, 0] * w) / q2
    v = (A[k, 1, 0] * fx + A[k, 1, 1] * fy + A[k, 1, 2] + b[k, 1] * w) / q2
    if not (u >= 0 and v >= 0 and u <= s.widths[k] - 1 and v <= s.heights[k] - 1):
        return nothing, zero, zero, zero
    place = s.starts[k] + np.int64(v + np.float32(0.5)) * s.widths[k] + np.int64(u + np.float32(0.5))
    there = s.maps[place]
    if not there > 0:
        return nothing, zero, zero, zero
    p2 = back[k, 2, 0] * u + back[k, 2, 1] * v + back[k, 2, 2] + shift[k, 2] * there
    if not p2 > np.float32(1e-6):
        return nothing, zero, zero, zero
    dx = (back[k, 0, 0] * u + back[k, 0, 1] * v + back[k, 0, 2] + shift[k, 0] * there) / p2 - fx
    dy = (back[k, 1, 0] * u + back[k, 1, 1] * v + back[k, 1, 2] + shift[k, 1] * there) / p2 - fy
    du, dv = (b[k, 0] - u * b[k, 2]) / q2, (b[k, 1] - v * b[k, 2]) / q2
    # Depth in this view is p2 / there, in the other one q2 / w.
    return np.sqrt(dx * dx + dy * dy), there / p2, du * du + dv * dv, q2 / w


@njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
def agree(
    w: Floats, sources: Sources, pixels: float, share: float, noise: float,
    mean: Floats, sigma: Floats, votes: Bytes,
) -> None:  # fmt: skip
    """Write what the views that agree with each inverse depth ``w`` [H, W] make of it together.

    A view agrees when the way to it and back ends within ``pixels``, at an inverse depth not further off than
    ``share`` of ``w``. mean: the inverse depth of all together, each view weighed by its precision.
    sigma: its standard deviation, where pictures are matched to ``noise`` pixels or as badly as the views
    disagree. votes: a bit for each view that agrees.
    """
    height, width = w.shape
    for y in prange(height):
        for x in range(width):
            own = w[y, x]
            sum_w, sum_p, square = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            bits, count = 0, 0
            if own > 0:
                for k in range(len(sources.starts)):
                    off, there, precision, _ = _answer(x, y, own, k, sources)
                    if off >= 0 and off <= pixels and abs(there - own) <= share * own:
                        sum_w += precision * there
                        sum_p += precision
                        square += off * off
                        bits |= 1 << k
                        count += 1
            votes[y, x] = bits
            if count > 0 and sum_p > 0:
                mean[y, x] = np.float32(0.5) * (own + sum_w / sum_p)
                spread = square / np.float32(count)
                sigma[y, x] = np.sqrt((np.float32(noise * noise) + spread) / sum_p)
            else:
                mean[y, x], sigma[y, x] = np.float32(0.0), np.float32(0.0)


@njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
def covered(
    w: Floats, focal: float, sources: Sources, focals: Floats, pixels: float, share: float, coarser: float,
    told: Bytes,
) -> None:  # fmt: skip
    """Set ``told`` [H, W] where one of the views has the same surface, seen not ``coarser`` times worse."""
    height, width = w.shape
    for y in prange(height):
        for x in range(width):
            own = w[y, x]
            told[y, x] = 0
            if not own > 0:
                continue
            for k in range(len(sources.starts)):
                off, there, _, deep = _answer(x, y, own, k, sources)
                same = off >= 0 and off <= pixels and abs(there - own) <= share * own
                # The size of a pixel there is depth / focal length.
                if same and deep * own * focal <= coarser * focals[k]:
                    told[y, x] = 1
