"""Opacity that has to be earned: whatever a step sees fades a little."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from firstlight.density.strategy import Refinement, State, Strategy, Trainable, logit
from firstlight.scene import Gaussians

_SEEN = "decay.seen"
_LEAST = logit(1e-4)  # what is fainter has faded


@dataclass(frozen=True)
class Decaying:
    """``inner``, and before it the opacity of each Gaussian that the step's photo sees is times ``factor``.

    Visibility-aware opacity decay after Binocular-guided Gaussian splatting (Han et al. 2024), whose decay is
    of all: what photos need is pulled up again in the same steps, what hides or floats in front of no
    surface sinks. What a photo does not see stays, for no gradient could lift it. Up to ``stop``, a share of
    the fit's steps.
    """

    inner: Strategy
    factor: float = 0.995
    stop: float = 0.9  # of the steps: the last ones find the opacities that belong to the picture

    def limited(self, most: int) -> Decaying:
        return replace(self, inner=self.inner.limited(most))

    def initialize(self, count: int) -> State:
        return self.inner.initialize(count)

    def observe(self, state: State, meta: dict[str, Any], gaussians: Gaussians) -> None:
        state[_SEEN] = (meta["radii"] > 0).all(-1).any(0)
        self.inner.observe(state, meta, gaussians)

    @torch.no_grad()
    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        seen = state.pop(_SEEN, None)
        if seen is not None and context.step < self.stop * context.steps:
            rows = seen.nonzero().squeeze(-1)
            opacities = self.factor * trainable.gaussians.detach().opacities[rows]
            faded = opacities.logit().clamp(min=_LEAST)
            trainable.assign(rows, {"logit_opacities": faded}, forget=False)
        return self.inner.refine(trainable, state, context)
