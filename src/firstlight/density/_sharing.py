"""Several Gaussians in the place of one: whose, and how they share (3DGS-MCMC, Kheradmand et al. 2024)."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

MAX_COPIES = 50  # of one Gaussian at once: the sum below alternates in sign and loses digits


def share(
    opacities: Tensor, copies: Tensor, limit: int = MAX_COPIES, floor: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Opacity of each of ``copies`` [M] ≥ 1 Gaussians in one place that together look like one of
    ``opacities`` [M], and the factor on its scales (equation 9 of the paper), both float64 [M].

    More than ``limit`` copies count as so many. Where the opacity would be below ``floor`` it is the floor,
    and the scales make up for it.
    """
    # The paper's double sum over i ≤ N and k < i adds C(i − 1, k) over i, which is C(N, k + 1): one is left.
    n = copies.clamp(min=1, max=limit)
    whole = opacities.double().clamp(max=1 - 1e-12)
    part = -torch.expm1(torch.log1p(-whole) / n)
    part = part.clamp(min=floor)
    j = torch.arange(1, limit + 1, dtype=torch.float64, device=part.device)
    terms = _binomials(limit).to(part.device)[n] * part[:, None] ** j / j.sqrt()  # [M, limit]
    terms[:, 1::2] *= -1
    return part, whole / terms.sum(-1)


@cache
def _binomials(limit: int) -> Tensor:
    """C(n, j) for n = 0 … ``limit`` (rows) and j = 1 … ``limit`` (columns)."""
    rows = [[math.comb(n, j) for j in range(1, limit + 1)] for n in range(limit + 1)]
    return torch.tensor(rows, dtype=torch.float64)
