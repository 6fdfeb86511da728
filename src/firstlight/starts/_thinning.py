"""Fewer Gaussians that cover the same."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from firstlight.scene import Gaussians


def thinned_out(gaussians: Gaussians, most: int, generator: torch.Generator) -> Gaussians:
    """At most ``most`` of ``gaussians``, drawn at random and made larger to cover the same."""
    count = len(gaussians)
    if count <= most:
        return gaussians
    kept = gaussians.select(torch.randperm(count, generator=generator)[:most].sort().values)
    return replace(kept, log_scales=kept.log_scales + math.log(count / most) / 2)
