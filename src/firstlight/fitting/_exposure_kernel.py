"""Kernels of the affine colour map of a picture: [H, 3W] rows of interleaved colours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

Floats = npt.NDArray[np.float32]
_FAST = {"contract", "reassoc", "nsz"}  # not nnan: a fit that diverges has to show


@njit(parallel=True, fastmath=_FAST, error_model="numpy", cache=True)
def apply(picture: Floats, m: Floats, out: Floats) -> None:
    """``out = m[:, :3] @ colour + m[:, 3]`` for every pixel; m [3, 4]."""
    height, floats = picture.shape
    for row in prange(height):
        source, target = picture[row], out[row]
        for x in range(floats // 3):
            r, g, b = source[3 * x], source[3 * x + 1], source[3 * x + 2]
            target[3 * x] = m[0, 0] * r + m[0, 1] * g + m[0, 2] * b + m[0, 3]
            target[3 * x + 1] = m[1, 0] * r + m[1, 1] * g + m[1, 2] * b + m[1, 3]
            target[3 * x + 2] = m[2, 0] * r + m[2, 1] * g + m[2, 2] * b + m[2, 3]


@njit(parallel=True, fastmath=_FAST, error_model="numpy", cache=True)
def differentiate(picture: Floats, m: Floats, upstream: Floats, gradient: Floats, sums: Floats) -> None:
    """``gradient = m[:, :3].T @ upstream`` for every pixel; ``sums`` [H, 3, 4]: each row's gradient of m."""
    height, floats = picture.shape
    for row in prange(height):
        source, above, target = picture[row], upstream[row], gradient[row]
        for x in range(floats // 3):
            u, v, w = above[3 * x], above[3 * x + 1], above[3 * x + 2]
            target[3 * x] = m[0, 0] * u + m[1, 0] * v + m[2, 0] * w
            target[3 * x + 1] = m[0, 1] * u + m[1, 1] * v + m[2, 1] * w
            target[3 * x + 2] = m[0, 2] * u + m[1, 2] * v + m[2, 2] * w
        for channel in range(3):
            r = g = b = one = np.float32(0)
            for x in range(floats // 3):
                u = above[3 * x + channel]
                r += u * source[3 * x]
                g += u * source[3 * x + 1]
                b += u * source[3 * x + 2]
                one += u
            sums[row, channel, 0] = r
            sums[row, channel, 1] = g
            sums[row, channel, 2] = b
            sums[row, channel, 3] = one
