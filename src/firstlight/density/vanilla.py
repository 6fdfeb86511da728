"""Adaptive density control of 3D Gaussian Splatting (Kerbl et al. 2023, section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from firstlight.density._resets import reset_opacities, resets
from firstlight.density._screen import mean_gradient, nothing_seen, watch
from firstlight.density._splitting import SHRINK, grow
from firstlight.density.strategy import Refinement, State, Trainable, due, scaled
from firstlight.scene import Gaussians


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
        return nothing_seen(count)

    def observe(self, state: State, meta: dict[str, Any], gaussians: Gaussians) -> None:
        watch(state, meta)

    @torch.no_grad()
    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        if not state or context.step >= scaled(self.stop, context.steps):
            state.clear()
            return None
        words = []
        if due(context, self.start, self.stop, self.every):
            choice = self._choose(trainable.gaussians.detach(), state, context)
            grow(trainable, choice.clone, choice.split, choice.gone, context.generator)
            state.update(self.initialize(len(trainable.gaussians)))
            words.append(f"+{int(choice.clone.sum() + choice.split.sum())} −{int(choice.gone.sum())}")
        if resets(context, self.start, self.stop, self.reset_every):
            reset_opacities(trainable, self.reset_opacity)
            words.append("opacities reset")
        return ", ".join(words) or None

    def thresholds(self, gaussians: Gaussians, context: Refinement) -> tuple[Tensor, Tensor]:
        """Screen gradient from which each Gaussian [N] grows, and opacity below which it goes."""
        count = len(gaussians)
        return torch.full((count,), self.grow_gradient), torch.full((count,), self.min_opacity)

    def _choose(self, gaussians: Gaussians, state: State, context: Refinement) -> Choice:
        size = gaussians.scales.amax(-1) / context.extent
        gradient = mean_gradient(state)
        grows_from, goes_below = self.thresholds(gaussians, context)
        wanted = gradient >= grows_from
        split = wanted & (size > self.split_above)
        gone = gaussians.opacities < goes_below
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
