"""Halves of a Gaussian (Kerbl et al. 2023, section 5.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from firstlight.density.strategy import Trainable
from firstlight.scene import Gaussians
from firstlight.scene.rotation import quat_to_rotmat

SHRINK = 1.6  # a half of a split Gaussian is this much smaller


def drawn_from(means: Tensor, quats: Tensor, scales: Tensor, normal: Tensor) -> Tensor:
    """Points [..., 3] drawn from Gaussians, by standard ``normal`` numbers [..., 3]."""
    offsets = quat_to_rotmat(quats) @ (normal * scales)[..., None]
    return torch.add(means, offsets.squeeze(-1))


def halves(parents: Gaussians, generator: torch.Generator) -> Gaussians:
    """Two Gaussians for each parent: their means drawn from it, and smaller."""
    twice = torch.arange(len(parents)).repeat(2)
    both = parents.select(twice)
    normal = torch.randn(both.means.shape, generator=generator)
    both.means = drawn_from(both.means, both.quats, both.scales, normal)
    both.log_scales = both.log_scales - math.log(SHRINK)
    return both


def grow(
    trainable: Trainable, clone: Tensor, split: Tensor, gone: Tensor, generator: torch.Generator
) -> None:
    """Double the Gaussians of ``clone``, put two halves in the place of those of ``split``, drop ``gone``.

    Masks [N]; no Gaussian is in two of them, but for ``split`` and ``gone``.
    """
    gaussians = trainable.gaussians.detach()
    new = gaussians.select(clone).append(halves(gaussians.select(split), generator))
    trainable.rebuild((~(gone | split)).nonzero().squeeze(-1), new)
