"""Turbo-GS: Accelerating 3D Gaussian Fitting for High-Quality Radiance Fields (Lu et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from firstlight.density._screen import mean_gradient, nothing_seen, watch
from firstlight.density._splitting import grow
from firstlight.density.strategy import Refinement, State, Trainable, due, occasions, scaled
from firstlight.losses import psnr
from firstlight.render import splat_scores
from firstlight.sampling import draw_distinct
from firstlight.scene import Gaussians

VISITED = 0.1  # Σ w of a Gaussian in a view that counts as having looked at it


@dataclass(frozen=True)
class Turbo:
    """Growth where position or colour is wrong, as fast as the fit converges, and where many views look.

    The ideas are the paper's abstract's; no code of the authors was found, so what follows is one reading:
    - position: a mean screen gradient of at least ``grow_gradient``, as in 3DGS;
    - appearance: a mean gradient of the colour among the largest ``appearance`` of all, each taken with the
      chance ``appearance_chance``;
    - budget: first + (max − first)·(tᵃ − 1)/(100ᵃ − 1) at t percent of the growth, a = 1 + ½·tanh(e). e is
      how much faster than on average so far the logarithm of the loss has fallen since the last growth: a
      fit that still improves by itself waits;
    - visits: only Gaussians that at least the median number of the ``views`` looked at see with Σ w > 0.1;
    - pruning, once after the last growth, by the sum of squared gradients of the means since then:
      as many of the lowest, up to ``pruned``, as leave the mean PSNR of some views within ``tolerated`` dB.

    The dilated pictures of the paper are ``Recipe.dilation``. Steps scale with the length of the fit.
    """

    max_gaussians: int = 100_000
    grow_gradient: float = 2e-4  # mean norm of the loss's gradient at the 2D mean, NDC units
    appearance: float = 0.1
    appearance_chance: float = 0.2
    split_above: float = 0.01  # longest standard deviation over scene extent; below it, clone
    min_opacity: float = 0.005
    views: int = 8
    pruned: float = 0.6
    tolerated: float = 0.02  # dB
    start: int = 500
    stop: int = 9000  # the paper grows in the first third
    every: int = 100

    def limited(self, most: int) -> Turbo:
        return replace(self, max_gaussians=most)

    def initialize(self, count: int) -> State:
        return self._nothing(count) | {
            "first": torch.tensor(count),
            "log_error": torch.zeros(0),  # of some views at the last growth
            "falls": torch.zeros(0),  # by which it fell from growth to growth
        }

    def _nothing(self, count: int) -> State:
        return nothing_seen(count) | {"colour": torch.zeros(count), "worth": torch.zeros(count)}

    @torch.no_grad()
    def observe(self, state: State, meta: dict[str, Any], gaussians: Gaussians) -> None:
        visible = watch(state, meta)
        if visible is None or gaussians.sh.grad is None or gaussians.means.grad is None:
            return
        state["colour"] += gaussians.sh.grad[:, 0].norm(dim=-1) * visible
        state["worth"] += gaussians.means.grad.square().sum(-1)

    @torch.no_grad()
    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        if not state:
            return None
        before = len(trainable.gaussians)
        if context.step >= scaled(self.stop, context.steps):
            self._prune(trainable, state, context)
            state.clear()
        elif due(context, self.start, self.stop, self.every):
            times = occasions(self.start, self.stop, self.every, context.steps)
            visited, error = self._looked_at(before, context)
            _notice(state, error)
            self._grow(trainable, state, visited, context, (times.index(context.step) + 1) / len(times))
            state.update(self._nothing(len(trainable.gaussians)))
        else:
            return None
        return f"{len(trainable.gaussians) - before:+}"

    def _looked_at(self, count: int, context: Refinement) -> tuple[Tensor, float]:
        """Mask [N] of the Gaussians that enough of some views see, and how wrong these views are."""
        visits, errors = torch.zeros(count), []
        places = context.some_views(self.views)
        for look in map(context.views.look, places):
            visits += splat_scores(look.meta).weight[0] > VISITED
            errors.append(look.mean_error)
        return visits >= visits.median().clamp(min=1), sum(errors) / len(errors)

    def budget(self, first: int, passed: float, falls: Tensor) -> int:
        """How many Gaussians there may be when ``passed`` of the growth is over."""
        faster = 0.0
        if len(falls) > 1:
            usual = float(falls[:-1].mean())
            faster = (float(falls[-1]) - usual) / max(abs(usual), 1e-6)
        power = 1 + 0.5 * math.tanh(faster)
        share = float(((100 * passed) ** power - 1) / (100**power - 1))
        return first + round((self.max_gaussians - first) * max(share, 0.0))

    def _grow(
        self, trainable: Trainable, state: State, visited: Tensor, context: Refinement, passed: float
    ) -> None:
        gaussians = trainable.gaussians.detach()
        gone = gaussians.opacities < self.min_opacity
        gone &= ~gone.all()
        position = mean_gradient(state)
        colour = state["colour"] / state["seen"].clamp(min=1)
        lucky = torch.rand(len(gaussians), generator=context.generator) < self.appearance_chance
        wrong = (colour > 0) & (colour >= colour.quantile(1 - self.appearance)) & lucky
        wanted = ((position >= self.grow_gradient) | wrong) & visited & ~gone
        room = self.budget(int(state["first"]), passed, state["falls"]) - int((~gone).sum())
        if int(wanted.sum()) > room:
            chosen = draw_distinct((position + 1e-12) * wanted, max(room, 0), context.generator)
            wanted = torch.zeros_like(wanted).index_fill_(0, chosen, True)
        split = wanted & (gaussians.scales.amax(-1) > self.split_above * context.extent)
        grow(trainable, wanted & ~split, split, gone, context.generator)

    def _prune(self, trainable: Trainable, state: State, context: Refinement) -> None:
        """Remove as many of the least worth as pictures allow, by halving the interval of shares."""
        order = state["worth"].argsort(stable=True)
        places = context.some_views(self.views)

        def quality(share: float) -> float:
            keep = torch.ones(len(order), dtype=torch.bool)
            keep[order[: int(share * len(order))]] = False
            looks = (context.views.look(place, keep) for place in places)
            found = [psnr(look.rendered, look.photo, look.mask) for look in looks]
            return float(torch.tensor(found, dtype=torch.float64).nanmean())  # NaN: all of it is ignored

        whole, low, high = quality(0.0), 0.0, self.pruned
        for _ in range(4):
            middle = (low + high) / 2
            if quality(middle) > whole - self.tolerated:
                low = middle
            else:
                high = middle
        if low > 0:
            trainable.rebuild(order[int(low * len(order)) :].sort().values)


def _notice(state: State, error: float) -> None:
    now = torch.tensor([math.log(max(error, 1e-9))])
    if len(state["log_error"]):
        state["falls"] = torch.cat([state["falls"], state["log_error"] - now])
    state["log_error"] = now
