"""Growth and pruning that several views must agree on, in the manner of FastGS and Mini-Splatting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from firstlight.density._screen import mean_gradient, nothing_seen, watch
from firstlight.density._splitting import grow
from firstlight.density.strategy import Look, Refinement, State, Trainable, due, scaled
from firstlight.render import splat_scores
from firstlight.scene import KEEP_FROM, Gaussians


@dataclass(frozen=True)
class Consistent:
    """Few Gaussians for the same picture: only what several views find wrong grows, the useless goes.

    At each refinement some views are looked at. A Gaussian grows when its screen gradient is as high as in
    3DGS and it paints, on average over the views that see it, at least ``wrong_pixels`` whose error is
    among their picture's largest ``wrong`` (FastGS, Ren et al. 2025, in spirit). It goes when it is faint, or
    when the largest share that it has in any pixel of these views is below ``needed`` (Mini-Splatting, Fang
    and Wang 2024, keeps by such importance). A reference point from outside of the papers that firstlight
    follows; all numbers are our own.
    """

    max_gaussians: int = 400_000
    views: int = 8
    grow_gradient: float = 2e-4
    wrong: float = 0.2  # of the pixels
    wrong_pixels: float = 5.0
    needed: float = 0.02  # of alpha times transmittance
    split_above: float = 0.01  # longest standard deviation over scene extent; below it, clone
    min_opacity: float = 0.005
    start: int = 500
    stop: int = 15_000
    every: int = 500

    def limited(self, most: int) -> Consistent:
        return replace(self, max_gaussians=most)

    def initialize(self, count: int) -> State:
        return nothing_seen(count)

    def observe(self, state: State, meta: dict[str, Any], gaussians: Gaussians) -> None:
        watch(state, meta)

    @torch.no_grad()
    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        if not state or context.step >= scaled(self.stop, context.steps):
            state.clear()
            return None
        if not due(context, self.start, self.stop, self.every):
            return None
        gaussians = trainable.gaussians.detach()
        before = len(gaussians)
        wrong, needed, seen = self._judged(before, context)
        gone = (gaussians.opacities < self.min_opacity) | (seen & (needed < self.needed))
        gone &= ~gone.all()
        gradient = mean_gradient(state)
        wanted = (gradient >= self.grow_gradient) & (wrong >= self.wrong_pixels) & ~gone
        room = max(self.max_gaussians - int((~gone).sum()), 0)
        if int(wanted.sum()) > room:
            best = torch.where(wanted, wrong, -1.0).argsort(descending=True, stable=True)[:room]
            wanted = torch.zeros_like(wanted).index_fill_(0, best, True)
        split = wanted & (gaussians.scales.amax(-1) > self.split_above * context.extent)
        grow(trainable, wanted & ~split, split, gone, context.generator)
        state.update(nothing_seen(len(trainable.gaussians)))
        return f"{len(trainable.gaussians) - before:+}"

    def _judged(self, count: int, context: Refinement) -> tuple[Tensor, Tensor, Tensor]:
        """Wrong pixels [N] a view, the largest share [N] in any pixel, and the mask [N] of what was seen."""
        wrong, views, share = torch.zeros(count), torch.zeros(count), torch.zeros(count)
        places = context.some_views(self.views)
        for look in map(context.views.look, places):
            scores = splat_scores(look.meta, _largest(look, self.wrong)[None])
            wrong += scores.pixel_error[0]
            views += scores.hits[0] > 0
            share = torch.maximum(share, scores.max_weight[0])
        return wrong / views.clamp(min=1), share, views > 0


def _largest(look: Look, share: float) -> Tensor:
    """1 [H, W] where the error is among the largest ``share`` of the pixels that count, 0 elsewhere."""
    error = look.error
    counted = error.flatten() if look.mask is None else error[look.mask >= KEEP_FROM]
    if len(counted) == 0:
        return torch.zeros_like(error)
    least = counted.kthvalue(max(1, round((1 - share) * len(counted)))).values
    return look.kept((error >= least).float())
