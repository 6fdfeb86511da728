"""What the screen says about a Gaussian: the measure by which 3DGS grows (Kerbl et al. 2023, section 5.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from firstlight.density.strategy import State


def ndc_norms(gradients: Tensor, width: int, height: int, images: int) -> Tensor:
    """Norms [...] of a loss's gradients at 2D means [..., 2], from pixels to NDC units.

    A pixel is 2 / width of the NDC square; losses are means over the ``images`` of a batch.
    """
    unit = torch.tensor([width, height], dtype=gradients.dtype, device=gradients.device) / 2 * images
    norms: Tensor = (gradients * unit).norm(dim=-1)
    return norms


def nothing_seen(count: int) -> State:
    """What ``watch`` adds to, for ``count`` Gaussians."""
    return {"gradient": torch.zeros(count), "seen": torch.zeros(count)}


@torch.no_grad()
def watch(state: State, meta: dict[str, Any]) -> Tensor | None:
    """Add the norms of the screen gradients of this step; the mask [N] of what is in the picture.

    None, and nothing is added, when growth is over (``state`` is empty) or no Gaussian is in the picture.
    """
    gradient = meta["means2d"].grad
    if "gradient" not in state or gradient is None:
        return None
    visible = (meta["radii"] > 0).all(-1)  # [C, N]
    norms = ndc_norms(gradient, meta["width"], meta["height"], len(gradient))
    state["gradient"] += (norms * visible).sum(0)
    state["seen"] += visible.sum(0)
    seen: Tensor = visible.any(0)
    return seen


def mean_gradient(state: State) -> Tensor:
    """Mean norm [N] over the steps that saw a Gaussian, NDC units."""
    return state["gradient"] / state["seen"].clamp(min=1)
