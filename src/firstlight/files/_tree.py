"""Places on a grid, coded as a set: how many lie in each half, and in each half of that.

What is saved is the order, some log₂ N − 1.4 bits a place (Devillers and Gandoin 2000). Halves are cut along
x, y and z in turn, so that places come back in the order of a Z-curve.
"""

from __future__ import annotations

import numpy as np

from firstlight.files._entropy import Coder, Ints

FEW = 8  # up to so many in a box, the distribution of each number is learned
_PARTS = 16  # of more, first this part of them


def code_places(coder: Coder, cells: Ints | None, count: int, bits: int) -> Ints:
    """Cells [count, 3] in 0 … 2^bits − 1 an axis, sorted along the Z-curve with x as the highest bit."""
    corners = np.zeros((1, 3), np.int64)
    counts = np.array([count])
    for level in range(3 * bits):
        axis, half = level % 3, 1 << (bits - 1 - level // 3)
        if cells is None:
            left = None
        else:
            is_left = (cells[:, axis] & half) == 0
            left = np.add.reduceat(is_left.astype(np.int64), np.cumsum(counts) - counts)
        left = _code_split(coder, left, counts)
        corners = np.repeat(corners, 2, axis=0)
        corners[1::2, axis] += half
        counts = np.stack([left, counts - left], 1).ravel()
        corners, counts = corners[counts > 0], counts[counts > 0]
    return np.repeat(corners, counts, axis=0)


def sort_places(cells: Ints, bits: int) -> Ints:
    """The order [n] in which ``code_places`` wants them."""
    code = np.zeros(len(cells), np.uint64)
    for level in range(3 * bits):
        bit = cells[:, level % 3] >> (bits - 1 - level // 3) & 1
        code = code << np.uint64(1) | bit.astype(np.uint64)
    return np.argsort(code, kind="stable")


def _code_split(coder: Coder, left: Ints | None, counts: Ints) -> Ints:
    """How many of ``counts`` lie in the lower half."""
    coded = np.empty(len(counts), np.int64)
    few = counts <= FEW
    coded[few] = coder.symbols(None if left is None else left[few], counts[few] - 1, FEW, FEW + 1)
    many = counts[~few]
    if len(many):
        parts = None if left is None else left[~few] * _PARTS // many
        size = np.minimum(np.log2(many).astype(np.int64), 15) - 3
        parts = coder.symbols(parts, size, 13, _PARTS + 1)
        first, last = -(-parts * many // _PARTS), np.minimum(-(-(parts + 1) * many // _PARTS) - 1, many)
        rest = coder.uniform(None if left is None else left[~few] - first, last - first + 1)
        coded[~few] = first + rest
    return np.minimum(coded, counts)
