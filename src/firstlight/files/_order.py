"""Neighbours in space next to each other in the file: small chunks and bytes that repeat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firstlight.files._blocks import Array

_BITS = 20  # an axis


def morton_order(means: Array) -> npt.NDArray[np.intp]:
    """The order [N] of places [N, 3] along a Z-curve through the box that holds them.

    The box is measured in sign(x)·log(1 + |x|): a single far Gaussian must not squeeze all others into
    one cell.
    """
    means = np.sign(means) * np.log1p(np.abs(means))
    low, high = means.min(0), means.max(0)
    cells = ((means - low) * ((2**_BITS - 1) / np.maximum(high - low, 1e-30))).astype(np.uint64)
    code = _spread(cells[:, 0]) | _spread(cells[:, 1]) << np.uint64(1) | _spread(cells[:, 2]) << np.uint64(2)
    return np.argsort(code, kind="stable")


def _spread(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Two zeros between any two of the lowest 21 bits."""
    for shift, mask in (
        (32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3), (2, 0x1249249249249249),
    ):  # fmt: skip
        bits = (bits | bits << np.uint64(shift)) & np.uint64(mask)
    return bits
