"""Structural similarity as a number."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from firstlight.losses._pictures import as_rows


def ssim(rendered: Tensor, photo: Tensor, mask: Tensor | None = None) -> float:
    """Mean SSIM over pixels and channels (Wang et al. 2004), as the 3D Gaussian Splatting papers report it.

    rendered: [H, W, 3] float32 in [0, 1]; photo: [H, W, 3] uint8; mask: [H, W] uint8, 128 and more keep
    the pixel. Gaussian window of 11 pixels, σ = 1.5, beyond the borders 0, C1 = 0.01², C2 = 0.03².
    Masked pixels are treated as in :func:`photometric`; NaN when none is kept. No gradient.
    """
    rows = as_rows(rendered, photo, mask)
    if not rows.kept:
        return float("nan")
    _, total = rows.sums(np.empty((0, 0, 0), np.float32))
    return total / (3 * rows.kept)
