"""Taming 3DGS: High-Quality Radiance Fields with Limited Resources (Mallick et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from firstlight.density._resets import reset_opacities, resets
from firstlight.density._screen import mean_gradient, nothing_seen, watch
from firstlight.density._splitting import grow
from firstlight.density.strategy import Look, Refinement, State, Trainable, due, occasions, scaled
from firstlight.losses import photometric
from firstlight.render import splat_scores
from firstlight.sampling import draw_distinct
from firstlight.scene import Gaussians

# Weights of what a score is made of, as in the authors' code. Each is divided by its median first.
GRADIENT, DISTANCE, OPACITY, DEPTH, PIXELS, RADIUS, VOLUME, COUNT, BLENDING = (
    25.0, 50.0, 100.0, 5.0, 10.0, 10.0, 25.0, 0.1, 50.0,
)  # fmt: skip
OF_A_VIEW = 50.0  # times a view's photometric loss
EDGES, ERRORS = 50.0, 50.0  # what a pixel counts for


@dataclass(frozen=True)
class Taming:
    """Growth along a fixed curve to exactly ``max_gaussians``, parents drawn by what they do for pictures.

    The curve is the parabola through the first count whose vertex is the budget at the last growth. Where
    fewer Gaussians than the curve asks for have a high gradient, the best scored of the others join, so that
    the budget is met exactly. The distance of a splat's pixels from its centre, one of the terms of the
    score, is taken as two thirds of its radius each, as for a disc.

    Steps are written for a fit of 30,000 and scale with its length; one of less than some 100 steps has no
    growth at all. Left out: opacities above 1 after the
    growth, rarer steps of higher harmonics, and an allowance of their own for clones and for splits, in
    proportion to how many want each.
    """

    max_gaussians: int = 100_000
    views: int = 10  # looked at, at each growth
    grow_gradient: float = 2e-4  # mean norm of the loss's gradient at the 2D mean, NDC units
    split_above: float = 0.01  # longest standard deviation over scene extent; below it, clone
    min_opacity: float = 0.005
    max_scale: float = 0.1  # over scene extent; longer ones may go after the first ``reset_every``
    pruned: float = 0.5  # of the faint and the too long, at each growth
    pruning: float = 27 / 29  # of the growths; the last ones only add
    reset_opacity: float = 0.01
    start: int = 500
    stop: int = 15_000
    every: int = 500
    reset_every: int = 3000

    def limited(self, most: int) -> Taming:
        return replace(self, max_gaussians=most)

    def initialize(self, count: int) -> State:
        return nothing_seen(count) | {"first": torch.tensor(count)}

    def observe(self, state: State, meta: dict[str, Any], gaussians: Gaussians) -> None:
        watch(state, meta)

    @torch.no_grad()
    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        if not state or context.step >= scaled(self.stop, context.steps):
            state.clear()
            return None
        words = None
        if due(context, self.start, self.stop, self.every):
            before = len(trainable.gaussians)
            self._refine(trainable, state, context)
            state.update(nothing_seen(len(trainable.gaussians)))
            words = f"{len(trainable.gaussians) - before:+}"
        if resets(context, self.start, self.stop, self.reset_every):
            reset_opacities(trainable, self.reset_opacity)
        return words

    def target(self, first: int, step: int, steps: int) -> int:
        """How many Gaussians there should be after the growth at ``step``."""
        times = occasions(self.start, self.stop, self.every, steps)
        if step >= times[-1]:
            return self.max_gaussians
        passed = (times.index(step) + 1) / len(times)
        return round(first + (self.max_gaussians - first) * (2 * passed - passed**2))

    def _refine(self, trainable: Trainable, state: State, context: Refinement) -> None:
        gaussians = trainable.gaussians.detach()
        gradient = mean_gradient(state)
        score = self._scores(gaussians, gradient, context)
        gone = self._pruned(gaussians, score, context)
        target = self.target(int(state["first"]), context.step, context.steps)
        surplus = int((~gone).sum()) - target
        if surplus > 0:  # the start was above the curve
            gone[score.masked_fill(gone, torch.inf).argsort(stable=True)[:surplus]] = True
        self._grow(trainable, score, gradient, gone, target, context)

    def _grow(
        self,
        trainable: Trainable,
        score: Tensor,
        gradient: Tensor,
        gone: Tensor,
        target: int,
        context: Refinement,
    ) -> None:
        """Drop ``gone`` and double parents until there are ``target``.

        Once is enough in a long fit. A short one has so few growths that the curve asks for more than twice
        as many: children are then parents too, and split, as copies in one place would show nothing new.
        """
        again = False
        while True:
            longest = trainable.gaussians.detach().scales.amax(-1)
            alive = int((~gone).sum())
            wanted = self._parents(score, gradient, gone, target - alive, context.generator)
            split = wanted & ((longest > self.split_above * context.extent) | again)
            grow(trainable, wanted & ~split, split, gone, context.generator)
            if target <= 2 * alive or alive == 0:
                return
            kept = ~(gone | split)
            score, gradient = (
                torch.cat([of[kept], of[wanted & ~split], of[split].repeat(2)]) for of in (score, gradient)
            )
            gone, again = torch.zeros(len(score), dtype=torch.bool), True

    def _parents(
        self, score: Tensor, gradient: Tensor, gone: Tensor, count: int, generator: torch.Generator
    ) -> Tensor:
        """Mask [N] of ``count`` Gaussians to double: those of high gradient as likely as their score."""
        chosen = torch.zeros_like(gone)
        candidates = (gradient >= self.grow_gradient) & ~gone
        for group in (candidates, ~candidates & ~gone):
            left = count - int(chosen.sum())
            if left > 0:  # those without any score, unseen ones, may be needed to meet the budget
                chosen[draw_distinct((score + 1e-9) * group, left, generator)] = True
        return chosen

    def _pruned(self, gaussians: Gaussians, score: Tensor, context: Refinement) -> Tensor:
        """Mask [N] of those to remove: half of the faint and the too long, the useless first."""
        times = occasions(self.start, self.stop, self.every, context.steps)
        gone = torch.zeros(len(gaussians), dtype=torch.bool)
        if times.index(context.step) >= self.pruning * len(times):
            return gone
        doomed = gaussians.opacities < self.min_opacity
        if context.step > scaled(self.reset_every, context.steps):
            doomed |= gaussians.scales.amax(-1) > self.max_scale * context.extent
        count = int(self.pruned * int(doomed.sum()))
        gone[draw_distinct(doomed / (score + 1e-6), count, context.generator)] = True
        return gone

    def _scores(self, gaussians: Gaussians, gradient: Tensor, context: Refinement) -> Tensor:
        """Of each Gaussian [N], over some views drawn at random."""
        total = torch.zeros(len(gaussians))
        for place in context.some_views(self.views):
            total += _score(gaussians, gradient, context.views.look(place))
        return total


def _score(gaussians: Gaussians, gradient: Tensor, look: Look) -> Tensor:
    """What one view says about each Gaussian [N]; 0 for those that it does not see."""
    edges = look.kept(_edges(look.photo))
    scores = splat_scores(look.meta, (ERRORS * _unit(look.error) + EDGES * _unit(edges))[None])
    radius = look.meta["radii"][0].amax(-1).float()
    hits = scores.hits[0].float()
    parts = (
        (GRADIENT, gradient), (DISTANCE, hits * radius * 2 / 3), (OPACITY, gaussians.opacities),
        (DEPTH, look.meta["depths"][0]), (PIXELS, scores.pixel_error[0]), (RADIUS, radius),
        (VOLUME, gaussians.scales.prod(-1)), (COUNT, hits), (BLENDING, scores.weight[0]),
    )  # fmt: skip
    loss = photometric(look.rendered, look.photo, look.mask)
    summed = torch.stack([weight * _by_median(values) for weight, values in parts]).sum(0)
    return OF_A_VIEW * loss * summed * (hits > 0)


def _by_median(values: Tensor) -> Tensor:
    """``values`` [N] over the median of those above 0."""
    above = values[values > 0]
    return values / above.median() if len(above) else values


def _unit(values: Tensor) -> Tensor:
    """``values`` stretched to [0, 1]."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low).clamp(min=1e-12)


def _edges(photo: Tensor) -> Tensor:
    """Length of the gradient of brightness [H, W]."""
    grey = torch.nn.functional.pad((photo / 255).mean(-1)[None], (1, 1, 1, 1), "replicate")[0]
    across, down = grey[1:-1, 2:] - grey[1:-1, :-2], grey[2:, 1:-1] - grey[:-2, 1:-1]
    return torch.hypot(across, down)
