"""Mean absolute difference."""

from __future__ import annotations

import torch
from torch import Tensor

from firstlight.scene import KEEP_FROM


def l1(rendered: Tensor, photo: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference over kept pixels and channels; 0 when none is kept.

    rendered: [H, W, 3] in [0, 1]; photo: [H, W, 3] uint8; mask: [H, W] uint8, 128 and more keep the
    pixel. Returns a scalar. :func:`photometric` holds the same term, fused with SSIM.
    """
    difference = (rendered - photo.to(rendered.dtype) / 255).abs()  # [H, W, 3]
    if mask is None:
        return difference.mean()
    keep = (mask >= KEEP_FROM)[..., None]
    kept = difference.new_tensor(max(1, 3 * int(keep.sum())))
    return torch.where(keep, difference, 0).sum() / kept
