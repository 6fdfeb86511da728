"""Which keypoints of two photos are the same point."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import torch

from firstlight.poses._features import Matches

UNIT = 512.0  # length of a descriptor
RATIO = 0.8  # largest angle to the best, over that to the second best (Lowe 2004)
MAX_ANGLE = 0.7  # radians
_ROWS = 256  # at a time: similarities stay in the cache


def match_nearest(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> Matches:
    """Descriptors [N, D] that are each other's nearest, and clearly nearer than the second nearest.

    Descriptors are whole numbers and their dot products stay below 2²⁴, so float32 sums are exact and no
    order of summing can change the result. The confidence of a match is 1 − nearest / second nearest angle.
    """
    if min(len(a), len(b)) < 2:
        return Matches.none()
    x, y = torch.from_numpy(a).float(), torch.from_numpy(b).float()
    rows, columns = _Nearest(len(x)), _Nearest(len(y))
    block = torch.empty(min(_ROWS, len(x)), len(y))
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


class _Nearest:
    """Largest and second largest similarity of each keypoint, and with whom."""

    def __init__(self, count: int) -> None:
        self.best = np.full(count, -1, np.float32)
        self.second = np.full(count, -1, np.float32)
        self.index = np.zeros(count, np.int32)

    def ratio(self) -> npt.NDArray[np.float32]:
        """[N] nearest over second nearest angle; 1 where not even the nearest is near."""
        nearest = np.arccos(np.clip(self.best / UNIT**2, -1, 1))
        next_one = np.arccos(np.clip(self.second / UNIT**2, -1, 1))
        ratio = nearest / np.maximum(next_one, 1e-12)
        return np.where(nearest <= MAX_ANGLE, ratio, 1).astype(np.float32)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _nearest_in_rows(similar, start, best, second, index):  # type: ignore[no-untyped-def]
    for i in range(similar.shape[0]):
        row = similar[i]
        b = np.float32(-1)
        s = np.float32(-1)
        for j in range(row.shape[0]):
            s = max(s, min(b, row[j]))
            b = max(b, row[j])
        for j in range(row.shape[0]):
            if row[j] == b:
                index[start + i] = j
                break
        best[start + i] = b
        second[start + i] = s


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
