"""What gsplat's strategies do to Gaussians: each changes parameters, optimisers and running state in place.

``mask`` is [N] bool. ``state`` holds what a strategy counts for each Gaussian, as tensors [N, ...]; whatever
else is in it is left alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from firstlight.density._langevin import FADING_AT, STEEPNESS, shaken
from firstlight.density._splitting import SHRINK, drawn_from
from firstlight.density.gsplat._relocation import compute_relocation
from firstlight.density.gsplat._surgery import Optimizers, Params, rewrite, with_zeros
from firstlight.sampling import draw

State = dict[str, Any]


@torch.no_grad()
def duplicate(params: Params, optimizers: Optimizers, state: State, mask: Tensor) -> None:
    """Append a copy of each Gaussian in ``mask``, without moments."""
    rows = mask.nonzero().squeeze(-1)
    rewrite(
        params,
        optimizers,
        lambda name, old: torch.cat([old, old[rows]]),
        lambda old: with_zeros(old, len(rows)),
    )
    _count(state, lambda old: torch.cat([old, old[rows]]))


@torch.no_grad()
def split(
    params: Params, optimizers: Optimizers, state: State, mask: Tensor, revised_opacity: bool = False
) -> None:
    """Put two smaller ones, drawn from it, in the place of each Gaussian in ``mask``; they come last.

    With ``revised_opacity`` the two together are as opaque as the one was (Rota Bulò et al. 2024).
    """
    rows, rest = mask.nonzero().squeeze(-1), (~mask).nonzero().squeeze(-1)
    twice = rows.repeat(2)
    means, quats, scales = (params[name][twice] for name in ("means", "quats", "scales"))
    drawn = drawn_from(means, quats, scales.exp(), torch.randn_like(means))

    def halves(name: str, old: Tensor) -> Tensor:
        parents = old[twice]
        if name == "means":
            return drawn
        if name == "scales":
            return parents - math.log(SHRINK)
        if name == "opacities" and revised_opacity:
            return (1 - (1 - parents.sigmoid()).sqrt()).logit()
        return parents

    rewrite(
        params,
        optimizers,
        lambda name, old: torch.cat([old[rest], halves(name, old)]),
        lambda old: with_zeros(old[rest], len(twice)),
    )
    _count(state, lambda old: torch.cat([old[rest], old[twice]]))


@torch.no_grad()
def remove(params: Params, optimizers: Optimizers, state: State, mask: Tensor) -> None:
    """Take the Gaussians in ``mask`` away."""
    keep = (~mask).nonzero().squeeze(-1)
    rewrite(params, optimizers, lambda name, old: old[keep], lambda old: old[keep])
    _count(state, lambda old: old[keep])


@torch.no_grad()
def reset_opa(params: Params, optimizers: Optimizers, state: State, value: float) -> None:
    """Lower all opacities to at most ``value``, in (0, 1), and forget their moments."""
    highest = math.log(value / (1 - value))
    rewrite(params, optimizers, lambda name, old: old.clamp(max=highest), torch.zeros_like, ["opacities"])


@torch.no_grad()
def relocate(
    params: Params,
    optimizers: Optimizers,
    state: State,
    mask: Tensor,
    binoms: Tensor,
    min_opacity: float = 0.005,
) -> None:
    """Move the Gaussians in ``mask``, the dead ones, to where others are, drawn by opacity.

    Moments of those that are joined are forgotten; the dead bring theirs along, as in gsplat and the paper's
    code.
    """
    dead, alive = mask.nonzero().squeeze(-1), (~mask).nonzero().squeeze(-1)
    if len(dead) == 0 or len(alive) == 0:
        return
    sources = alive[draw(params["opacities"].flatten()[alive].sigmoid(), len(dead))]
    shared = _shared(params, sources, binoms, min_opacity)

    def values(name: str, old: Tensor) -> Tensor:
        new = old.clone()
        new[sources] = shared.get(name, old[sources])
        new[dead] = new[sources]
        return new

    def forget(old: Tensor) -> Tensor:
        return old.index_fill(0, sources, 0)

    rewrite(params, optimizers, values, forget)
    _count(state, forget)


@torch.no_grad()
def sample_add(
    params: Params,
    optimizers: Optimizers,
    state: State,
    n: int,
    binoms: Tensor,
    min_opacity: float = 0.005,
) -> None:
    """Append ``n`` Gaussians in the places of others, drawn by opacity; each place's then share it."""
    sources = draw(params["opacities"].flatten().sigmoid(), n)
    shared = _shared(params, sources, binoms, min_opacity)

    def values(name: str, old: Tensor) -> Tensor:
        new = torch.cat([old, old[sources]])
        if name in shared:
            new[sources] = new[len(old) :] = shared[name]
        return new

    rewrite(params, optimizers, values, lambda old: with_zeros(old, n))
    _count(state, lambda old: with_zeros(old, n))


@torch.no_grad()
def inject_noise_to_position(
    params: Params,
    optimizers: Optimizers,
    state: State,
    scaler: float,
    *,
    t: float = FADING_AT,
    k: float = STEEPNESS,
) -> None:
    """Push the means by noise shaped like each Gaussian, ``scaler`` times its covariance (scene units).

    It fades with opacity around ``t``, the more sharply the larger ``k``.
    """
    rows, moved = shaken(
        params["means"],
        params["quats"],
        params["scales"],
        params["opacities"].flatten(),
        scaler,
        fading_at=t,
        steepness=k,
    )
    params["means"][rows] = moved


def _shared(params: Params, sources: Tensor, binoms: Tensor, min_opacity: float) -> dict[str, Tensor]:
    """Raw opacities and scales that ``sources`` [M] have once as many stand there as are drawn to it."""
    opacities, scales = compute_relocation(
        params["opacities"][sources].sigmoid(),
        params["scales"][sources].exp(),
        torch.bincount(sources)[sources] + 1,
        binoms,
        min_opacity,
    )
    return {"opacities": opacities.logit(), "scales": scales.log()}


def _count(state: State, change: Any) -> None:
    for key, value in state.items():
        if isinstance(value, Tensor):
            state[key] = change(value)
