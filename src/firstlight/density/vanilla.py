"""Adaptive density control of 3D Gaussian Splatting (Kerbl et al. 2023, section 5.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from firstlight.density._screen import ndc_norms
from firstlight.density._splitting import SHRINK, drawn_from
from firstlight.density.strategy import Refinement, State, Trainable, due, logit, scaled
from firstlight.scene import Gaussians

# A reset throws opacities back to 0.01, and at Adam's rate of 0.05 a Gaussian needs some 100 steps in which
# it is seen to come back to a half. That number does not shrink with a shorter schedule, so resets never come
# closer together than this: a fit of 3,000 steps has one, and one of 2,000 steps has none.
MIN_RESET_EVERY = 1000


class Choice(NamedTuple):
    """What is to happen to each Gaussian; masks [N]."""

    clone: Tensor
    split: Tensor
    gone: Tensor


@dataclass(frozen=True)
class Vanilla:
    """Clone small and split large Gaussians where the screen gradient is high, remove the faint.

    Steps are written for a fit of 30,000 and scale with its length, with at least 50 between refinements
    and 1,000 between resets. Where growth would pass ``max_gaussians``, the largest gradients come first.
    """

    max_gaussians: int = 200_000
    grow_gradient: float = 2e-4  # mean norm of the loss's gradient at the 2D mean, NDC units
    split_above: float = 0.01  # longest standard deviation over scene extent; below it, clone
    min_opacity: float = 0.005
    max_scale: float = 0.1  # over scene extent; longer ones are removed after the first ``reset_every``
    reset_opacity: float = 0.01
    start: int = 500
    stop: int = 15_000
    every: int = 100
    reset_every: int = 3000

    def limited(self, most: int) -> Vanilla:
        return replace(self, max_gaussians=most)

    def initialize(self, count: int) -> State:
        return {"gradient": torch.zeros(count), "seen": torch.zeros(count)}

    @torch.no_grad()
    def observe(self, state: State, meta: dict[str, Any], gaussians: Gaussians) -> None:
        gradient = meta["means2d"].grad
        if not state or gradient is None:  # growth is over, or no Gaussian is in the picture
            return
        visible = (meta["radii"] > 0).all(-1)  # [C, N]
        norms = ndc_norms(gradient, meta["width"], meta["height"], len(gradient))
        state["gradient"] += (norms * visible).sum(0)
        state["seen"] += visible.sum(0)

    @torch.no_grad()
    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        if context.step >= scaled(self.stop, context.steps):
            state.clear()
            return None
        words = []
        if due(context, self.start, self.stop, self.every):
            choice = self._choose(trainable.gaussians, state, context)
            self._apply(trainable, choice, context.generator)
            state.update(self.initialize(len(trainable.gaussians)))
            words.append(f"+{int(choice.clone.sum() + choice.split.sum())} −{int(choice.gone.sum())}")
        if self._resets(context):
            self._reset(trainable)
            words.append("opacities reset")
        return ", ".join(words) or None

    def _choose(self, gaussians: Gaussians, state: State, context: Refinement) -> Choice:
        size = gaussians.scales.amax(-1) / context.extent
        gradient = state["gradient"] / state["seen"].clamp(min=1)
        wanted = gradient >= self.grow_gradient
        split = wanted & (size > self.split_above)
        gone = gaussians.opacities < self.min_opacity
        if context.step > scaled(self.reset_every, context.steps):
            # Splitting comes before pruning: what is small enough once halved may stay.
            gone |= size > torch.where(split, SHRINK * self.max_scale, self.max_scale)
        if gone.all():  # a scene of nothing could never recover
            gone = torch.zeros_like(gone)
        wanted &= ~gone
        room = max(self.max_gaussians - int((~gone).sum()), 0)
        if int(wanted.sum()) > room:  # each adds one, cloned or split
            order = torch.where(wanted, gradient, -1.0).argsort(descending=True, stable=True)
            wanted = torch.zeros_like(wanted)
            wanted[order[:room]] = True
        return Choice(wanted & ~split, wanted & split, gone)

    def _apply(self, trainable: Trainable, choice: Choice, generator: torch.Generator) -> None:
        gaussians = trainable.gaussians.detach()
        new = gaussians.select(choice.clone).append(_halves(gaussians.select(choice.split), generator))
        keep = ~(choice.gone | choice.split)
        trainable.rebuild(keep.nonzero().squeeze(-1), new)

    def _resets(self, context: Refinement) -> bool:
        every = max(scaled(self.reset_every, context.steps), MIN_RESET_EVERY)
        if every >= scaled(self.stop, context.steps):
            return False
        # On white, early Gaussians hide as white haze in front of the cameras: one reset more clears it.
        haze = context.white_background and context.step == max(scaled(self.start, context.steps), 1)
        return haze or context.step % every == 0

    def _reset(self, trainable: Trainable) -> None:
        logits = trainable.gaussians.logit_opacities.detach()
        lowered = logits.clamp(max=logit(self.reset_opacity))
        trainable.assign(torch.arange(len(logits)), {"logit_opacities": lowered})


def _halves(parents: Gaussians, generator: torch.Generator) -> Gaussians:
    """Two Gaussians for each parent: their means drawn from it, and smaller."""
    twice = torch.arange(len(parents)).repeat(2)
    halves = parents.select(twice)
    normal = torch.randn(halves.means.shape, generator=generator)
    halves.means = drawn_from(halves.means, halves.quats, halves.scales, normal)
    halves.log_scales = halves.log_scales - math.log(SHRINK)
    return halves
