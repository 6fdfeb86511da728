"""The scale term of 3DGS-MCMC."""

from __future__ import annotations

from torch import Tensor


def scale_penalty(scales: Tensor) -> Tensor:
    """Mean standard deviation (Kheradmand et al. 2024, weight 0.01): keeps splats from spreading unseen.

    scales: [N, 3] activated, in scene units. Returns a scalar.
    """
    return scales.mean()
