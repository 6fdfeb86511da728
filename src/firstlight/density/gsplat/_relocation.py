"""Sharing one Gaussian's place, with gsplat's signature."""

from __future__ import annotations

import torch
from torch import Tensor

from firstlight.density._sharing import share
from firstlight.render import ShapeError


def compute_relocation(
    opacities: Tensor,  # [M]
    scales: Tensor,  # [M, 3]
    ratios: Tensor,  # [M]
    binoms: Tensor,  # [n_max, n_max]
    min_opacity: float = 0.005,
) -> tuple[Tensor, Tensor]:
    """Opacities [M] and scales [M, 3] of each of ``ratios`` Gaussians that together look like one.

    Equation 9 of 3DGS-MCMC (Kheradmand et al. 2024); opacities in (0, 1), standard deviations in scene units.
    Ratios count as at most n_max, which is all that is read from ``binoms``. ShapeError for other shapes.
    """
    count = opacities.numel()
    if scales.shape != (count, 3) or ratios.shape != (count,):
        raise ShapeError(
            f"expected scales [{count}, 3] and ratios [{count}], "
            f"got {list(scales.shape)} and {list(ratios.shape)}"
        )
    part, factor = share(opacities.flatten(), ratios, limit=len(binoms), floor=min_opacity)
    part = part.clamp(max=1 - torch.finfo(torch.float32).eps).to(opacities.dtype)
    return part.view_as(opacities), (scales * factor[:, None]).to(scales.dtype)
