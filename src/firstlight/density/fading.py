"""The only density control of EDGS (Kotovenko et al. 2025): opacities fade, the faint go."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from firstlight.density.strategy import Refinement, State, Trainable, scaled
from firstlight.scene import Gaussians


@dataclass(frozen=True)
class Fading:
    """No growth. In the first half each logit of opacity sinks a little, and what is too faint is removed.

    The paper adds ln 0.99 to the logits every ten steps, whatever the length of the fit. It removes the faint
    after each step, here they go when the logits sink.
    """

    min_opacity: float = 0.005
    stop: int = 15_000
    fade: float = math.log(0.99)
    every: int = 10  # steps, not scaled: the optimiser pulls the other way once a step

    def limited(self, most: int) -> Fading:
        return self  # the start is thinned out; there is no growth

    def initialize(self, count: int) -> State:
        return {}

    def observe(self, state: State, meta: dict[str, Any], gaussians: Gaussians) -> None:
        pass

    @torch.no_grad()
    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        if context.step >= scaled(self.stop, context.steps) or context.step % self.every:
            return None
        gaussians = trainable.gaussians.detach()
        rows = torch.arange(len(gaussians))
        faded = {"logit_opacities": gaussians.logit_opacities + self.fade}
        trainable.assign(rows, faded, forget=False)
        keep = gaussians.opacities >= self.min_opacity
        if keep.all() or not keep.any():
            return None
        trainable.rebuild(keep.nonzero().squeeze(-1))
        return f"−{int((~keep).sum())}"
