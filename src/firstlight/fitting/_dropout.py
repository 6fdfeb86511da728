"""Opacity dropout: a step renders a random part of the Gaussians, so that none can rely on others."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from firstlight.scene import Gaussians

_GONE = -30.0  # logit of an opacity that no picture shows


def dropped(gaussians: Gaussians, rate: float, generator: torch.Generator) -> Gaussians:
    """``gaussians`` with a share ``rate`` of them made invisible and the others that much more opaque.

    After DropGaussian (Park et al. 2025), which few views profit from: what hides behind others gets
    gradients too. No gradient reaches the opacity of those left out, nor of those above 1 − ``rate``, which
    are raised to all but 1.
    """
    keep = torch.rand(len(gaussians), generator=generator) >= rate
    raised = torch.logit((gaussians.opacities / (1 - rate)).clamp(max=1 - 1e-6))
    return without(replace(gaussians, logit_opacities=raised), ~keep)


def without(gaussians: Gaussians, gone: Tensor) -> Gaussians:
    """``gaussians`` with those of the mask ``gone`` [N] invisible; rows keep their places."""
    return replace(gaussians, logit_opacities=gaussians.logit_opacities.masked_fill(gone, _GONE))
