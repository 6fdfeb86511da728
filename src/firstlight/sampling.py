"""Random choices by weight; one call of the generator each."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(weights: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """``count`` indices with replacement, as likely as ``weights`` [N] say.

    ValueError where no sum of theirs can be drawn from: none above 0, or one that is not finite.
    """
    # Inverting the running sum has no limit on N, which torch.multinomial has, and one call of the generator.
    total = weights.double().cumsum(0)
    if not (len(total) and 0 < total[-1] < torch.inf):
        raise ValueError("draw: expected weights that are finite and some of them above 0")
    places = torch.rand(count, dtype=torch.float64, generator=generator, device=weights.device) * total[-1]
    return torch.searchsorted(total, places, right=True).clamp(max=len(weights) - 1)


def draw_distinct(weights: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Up to ``count`` different indices, drawn one after another as likely as ``weights`` [N] ≥ 0 say.

    Fewer where fewer have weight. As ``numpy.random.choice`` without replacement, by the race of
    exponential clocks (Efraimidis and Spirakis 2006): the first ``count`` to ring.
    """
    rings = torch.rand(len(weights), dtype=torch.float64, generator=generator)
    rings = -torch.log1p(-rings) / weights.double()
    rings[weights <= 0] = torch.inf
    count = min(count, int((weights > 0).sum()))
    return rings.argsort(stable=True)[:count]
