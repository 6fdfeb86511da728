"""Losses with their weights, as a recipe lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from firstlight.losses import opacity_penalty, photometric, scale_penalty
from firstlight.scene import Gaussians


@dataclass(frozen=True, eq=False)
class View:
    """What a loss may look at: one rendered photo, and the photo."""

    rendered: Tensor  # [H, W, 3], exposure applied
    alpha: Tensor  # [H, W]
    photo: Tensor  # [H, W, 3] uint8
    mask: Tensor | None  # [H, W] uint8, 255 = keep
    gaussians: Gaussians
    fraction: float  # of the steps done


class Term(Protocol):
    """A frozen dataclass: plain data in a recipe."""

    def __call__(self, view: View) -> Tensor: ...


@dataclass(frozen=True)
class Photometric:
    """(1 − w)·L1 + w·(1 − SSIM), as in 3DGS."""

    ssim_weight: float = 0.2

    def __call__(self, view: View) -> Tensor:
        return photometric(view.rendered, view.photo, view.mask, self.ssim_weight)


@dataclass(frozen=True)
class OpacityPenalty:
    """weight · mean opacity (3DGS-MCMC, Kheradmand et al. 2024)."""

    weight: float = 0.01

    def __call__(self, view: View) -> Tensor:
        return self.weight * opacity_penalty(view.gaussians.opacities)


@dataclass(frozen=True)
class ScalePenalty:
    """weight · mean standard deviation, scene units (3DGS-MCMC, Kheradmand et al. 2024)."""

    weight: float = 0.01

    def __call__(self, view: View) -> Tensor:
        return self.weight * scale_penalty(view.gaussians.scales)
