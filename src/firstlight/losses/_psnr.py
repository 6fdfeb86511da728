"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from firstlight.scene import KEEP_FROM


@torch.no_grad()
def psnr(rendered: Tensor, photo: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in decibel over kept pixels; what is rendered is clamped to [0, 1] first.

    rendered: [H, W, 3] float; photo: [H, W, 3] uint8; mask: [H, W] uint8, 128 and more keep the pixel.
    Infinite for equal pictures, NaN when no pixel is kept.
    """
    squares = (rendered.clamp(0, 1) - photo.to(rendered.dtype) / 255).square()  # [H, W, 3]
    if mask is not None:
        squares = squares[mask >= KEEP_FROM]
    error = squares.mean(dtype=torch.float64).item()
    return math.inf if error == 0 else -10 * math.log10(error)
