"""The opacity term of 3DGS-MCMC."""

from __future__ import annotations

from torch import Tensor


def opacity_penalty(opacities: Tensor) -> Tensor:
    """Mean opacity (Kheradmand et al. 2024, weight 0.01): what no photo needs fades and can be moved.

    opacities: [N] activated, in (0, 1). Returns a scalar.
    """
    return opacities.mean()
