"""A price on needles."""

from __future__ import annotations

import math

from torch import Tensor


def needle_penalty(log_scales: Tensor, ratio: float = 3.0) -> Tensor:
    """Mean of how far the logarithm of longest over middle axis is above that of ``ratio``.

    Few photos leave depth open: a Gaussian that is a dot to each of their cameras may be a needle from the
    side. Akin to the anisotropy loss of PhysGaussian (Xie et al. 2024), which takes longest over shortest;
    here discs, which lie in surfaces, cost nothing.

    log_scales: [N, 3]. Returns a scalar.
    """
    longest, shortest = log_scales.amax(-1), log_scales.amin(-1)
    middle = log_scales.sum(-1) - longest - shortest
    return (longest - middle - math.log(ratio)).clamp(min=0).mean()
