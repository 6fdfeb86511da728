"""Numba kernel of semi-global matching (Hirschmüller 2008)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

Floats = npt.NDArray[np.float32]

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
def add_paths(cost: Floats, jump: Floats, step: float, dx: int, dy: int, total: Floats) -> None:
    """Add to ``total`` [H, W, D] the least cost of reaching each pixel's depth along paths that go (dx, dy).

    cost: [H, W, D]. ``step`` is paid for going to the next depth, ``jump`` [H, W] for any other one when
    entering that pixel. Paths of one direction share no pixel, so that threads cannot meet.
    """
    height, width, depths = cost.shape
    columns = width if dy != 0 else 0
    rows = height if dx != 0 else 0
    for path in prange(columns + rows):
        start: Any = np.int64(path)  # Numba counts unsigned, and unsigned less signed is a float
        if start < columns:
            x, y = start, (0 if dy > 0 else height - 1)
        else:
            x, y = (0 if dx > 0 else width - 1), start - columns
            if dy != 0 and y == (0 if dy > 0 else height - 1):
                continue  # the corner began a path already
        # A rim of infinite cost on both sides, so that the first and the last depth need no question.
        before = np.full(depths + 2, np.float32(1e9))
        now = np.full(depths + 2, np.float32(1e9))
        before[1:-1] = 0
        least = np.float32(0.0)
        price = np.float32(step)
        while 0 <= x < width and 0 <= y < height:
            leap = least + jump[y, x]
            lowest = np.float32(1e9)
            for d in range(depths):
                beside = min(before[d], before[d + 2]) + price
                way = min(min(before[d + 1], beside), leap) - least
                value = cost[y, x, d] + way
                now[d + 1] = value
                lowest = min(lowest, value)
            for d in range(depths):
                total[y, x, d] += now[d + 1]
            before, now = now, before
            least = lowest
            x += dx
            y += dy
