"""Which keypoints of two photos are the same point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch

from firstlight.poses._features import Matches

UNIT = 512.0  # length of a descriptor
RATIO = 0.8  # largest angle to the best, over that to the second best (Lowe 2004)
MAX_ANGLE = 0.7  # radians
_ROWS = 256  # at a time: similarities stay in the cache
_LANES = 256  # of a row side by side, so that LLVM can use vectors: a largest and a second largest for each


def match_nearest(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> Matches:
    """Descriptors [N, D] that are each other's nearest, and clearly nearer than the second nearest.

    Descriptors are whole numbers and their dot products stay below 2²⁴, so float32 sums are exact and no
    order of summing can change the result, nor can factors of 8 bits. The confidence of a match is
    1 − nearest / second nearest angle.
    """
    if min(len(a), len(b)) < 2:
        return Matches.none()
    x, y = torch.from_numpy(a).float(), torch.from_numpy(b).float()
    rows, columns = _Nearest(len(x)), _Nearest(len(y))
    block = torch.empty(min(_ROWS, len(x)), len(y))
    with _short_factors():
        for start in range(0, len(x), _ROWS):
            part = x[start : start + _ROWS]
            similar = torch.mm(part, y.T, out=block[: len(part)]).numpy()
            _nearest_in_rows(similar, start, rows.best, rows.second, rows.index)
            _nearest_in_columns(similar, start, columns.best, columns.second, columns.index)
    ratio = rows.ratio()
    i = np.flatnonzero(ratio < RATIO)
    j = rows.index[i]
    i = i[(columns.index[j] == i) & (columns.ratio()[j] < RATIO)]
    pairs = np.stack([i, rows.index[i]], 1).astype(np.uint32)
    return Matches(pairs, (1 - ratio[i]).astype(np.float32))


def angle_ratio(best: npt.NDArray[Any], second: npt.NDArray[Any], length: float) -> npt.NDArray[Any]:
    """[N] nearest over second nearest angle, from the two largest dot products of descriptors of ``length``.

    1 where not even the nearest is near, or where the second is as near: rounding a descriptor moves its dot
    products by up to about one ``length``. Two equal descriptors would both be at no angle to a third.
    """
    nearest, next_one = (np.arccos(np.clip(one / length**2, -1, 1)) for one in (best, second))
    clear = (nearest <= MAX_ANGLE) & (best - second > length)
    return np.where(clear, nearest / np.maximum(next_one, 1e-12), 1)


class _ShortFactors:
    """Lets torch round the factors of float32 products to bfloat16, while any thread asks for it.

    The 8 bits of a bfloat16 hold a descriptor's whole numbers exactly, and sums are float32 still: nothing
    changes but that processors with matrix units are more than twice as fast.
    """

    def __init__(self) -> None:
        self._lock, self._users, self._before = Lock(), 0, "highest"

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._users == 0:
                self._before = torch.get_float32_matmul_precision()
                torch.set_float32_matmul_precision("medium")
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    torch.set_float32_matmul_precision(self._before)


_short_factors = _ShortFactors()


class _Nearest:
    """Largest and second largest similarity of each keypoint, and with whom."""

    def __init__(self, count: int) -> None:
        self.best = np.full(count, -1, np.float32)
        self.second = np.full(count, -1, np.float32)
        self.index = np.zeros(count, np.int32)

    def ratio(self) -> npt.NDArray[np.float32]:
        """[N] as ``angle_ratio`` gives it."""
        return angle_ratio(self.best, self.second, UNIT).astype(np.float32)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _nearest_in_rows(similar, start, best, second, index):  # type: ignore[no-untyped-def]
    count = similar.shape[1]
    whole = count // _LANES * _LANES
    largest, next_one = np.empty(_LANES, np.float32), np.empty(_LANES, np.float32)
    for i in range(similar.shape[0]):
        row = similar[i]
        largest[:] = -1
        next_one[:] = -1
        for begin in range(0, whole, _LANES):
            part = row[begin : begin + _LANES]
            for lane in range(_LANES):
                next_one[lane] = max(next_one[lane], min(largest[lane], part[lane]))
            for lane in range(_LANES):
                largest[lane] = max(largest[lane], part[lane])
        for j in range(whole, count):
            next_one[0] = max(next_one[0], min(largest[0], row[j]))
            largest[0] = max(largest[0], row[j])
        b = np.float32(-1)
        s = np.float32(-1)
        for lane in range(_LANES):
            s = max(max(s, next_one[lane]), min(b, largest[lane]))
            b = max(b, largest[lane])
        first = np.int32(count)
        for j in range(count):
            first = min(first, np.int32(j) if row[j] == b else np.int32(count))
        best[start + i] = b
        second[start + i] = s
        index[start + i] = first


@numba.njit(nogil=True, cache=True, fastmath=True)
def _nearest_in_columns(similar, start, best, second, index):  # type: ignore[no-untyped-def]
    # One output a loop: LLVM vectorises neither branches nor several stores that might alias.
    for i in range(similar.shape[0]):
        row = similar[i]
        for j in range(row.shape[0]):
            second[j] = max(second[j], min(best[j], row[j]))
        for j in range(row.shape[0]):
            index[j] = start + i if row[j] > best[j] else index[j]
        for j in range(row.shape[0]):
            best[j] = max(best[j], row[j])
