"""Unit quaternions by the three smallest of their numbers: the largest follows from the length.

Compressed .ply, SPZ and SOG all do so and differ in the order and the bits. No number but the largest can
exceed √½ in magnitude, and the sign of a quaternion is free, so the largest is made positive.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from firstlight.files._blocks import Array, unit_quats

# For each place of the largest, the places of the other three in order.
_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def split_largest(quats: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Quaternions [n, 4] of any length and order → place of the largest [n], the other three [n, 3]."""
    quats = unit_quats(quats)
    largest = np.abs(quats).argmax(1)
    sign = np.where(np.take_along_axis(quats, largest[:, None], 1) < 0, -1.0, 1.0)
    return largest, sign * np.take_along_axis(quats, _OTHERS[largest], 1)


def join_largest(largest: Array, others: Array) -> npt.NDArray[np.float64]:
    """The inverse: [n] in 0…3 and [n, 3] → unit quaternions [n, 4] in the same order."""
    others = others.astype(np.float64)
    quats = np.empty((len(others), 4))
    first = np.sqrt(np.maximum(1 - (others * others).sum(1), 0))
    np.put_along_axis(quats, largest[:, None].astype(np.intp), first[:, None], 1)
    np.put_along_axis(quats, _OTHERS[largest], others, 1)
    return quats


def to_word(quats: Array) -> npt.NDArray[np.uint32]:
    """Quaternions [n, 4] → place of the largest in the top two bits of a word [n], the others in ten each."""
    largest, others = split_largest(quats)
    word = largest.astype(np.uint32)
    for level in np.rint((others / math.sqrt(2) + 0.5) * 1023).astype(np.uint32).T:
        word = word << np.uint32(10) | level
    return word
