"""Halves of a Gaussian (Kerbl et al. 2023, section 5.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from firstlight.scene.rotation import quat_to_rotmat

SHRINK = 1.6  # a half of a split Gaussian is this much smaller


def drawn_from(means: Tensor, quats: Tensor, scales: Tensor, normal: Tensor) -> Tensor:
    """Points [..., 3] drawn from Gaussians, by standard ``normal`` numbers [..., 3]."""
    offsets = quat_to_rotmat(quats) @ (normal * scales)[..., None]
    return torch.add(means, offsets.squeeze(-1))
