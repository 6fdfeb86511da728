"""Neighbours in space next to each other in the file: small chunks and bytes that repeat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firstlight.files._blocks import Array, to_log

_BITS = 20  # an axis


def morton_order(means: Array) -> npt.NDArray[np.intp]:
    """The order [N] of places [N, 3] along a Z-curve through the box that holds them.

    The box is measured in sign(x)·log(1 + |x|): a single far Gaussian must not squeeze all others into
    one cell.
    """
    means = to_log(means)
    low, high = means.min(0), means.max(0)
    cells = ((means - low) * ((2**_BITS - 1) / np.maximum(high - low, 1e-30))).astype(np.uint64)
    return np.argsort(along_z_curve(cells), kind="stable")


def along_z_curve(cells: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Where cells [N, 3], counted in 21 bits along each axis, come on a Z-curve [N]."""
    x, y, z = (_spread(cells[:, axis]) for axis in range(3))
    places: npt.NDArray[np.uint64] = x | y << np.uint64(1) | z << np.uint64(2)
    return places


def _spread(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Two zeros between any two of the lowest 21 bits."""
    for shift, mask in (
        (32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3), (2, 0x1249249249249249),
    ):  # fmt: skip
        bits = (bits | bits << np.uint64(shift)) & np.uint64(mask)
    return bits
