"""How far rendered depth is from known depth."""

from __future__ import annotations

import torch
from torch import Tensor

from firstlight.scene import KEEP_FROM


def depth_l1(depth: Tensor, known: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference of ``depth`` [H, W] from ``known`` [H, W] (0 = unknown) over its median.

    Divided so, it does not depend on the unit of the scene. mask: [H, W] uint8, 128 and more keep the pixel.
    Returns a scalar, 0 where nothing is known. DRGS (Chung et al. 2024) has it undivided.
    """
    counts = known > 0
    if mask is not None:
        counts &= mask >= KEEP_FROM
    if not counts.any():
        return depth.new_zeros(())
    difference = (depth - known).abs()
    return torch.where(counts, difference, 0).sum() / (counts.sum() * known[counts].median())
