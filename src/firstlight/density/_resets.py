"""Opacities thrown back now and then (Kerbl et al. 2023, section 5.2): only what is needed comes back."""

from __future__ import annotations

import torch

from firstlight.density.strategy import Refinement, Trainable, logit, scaled

# A reset throws opacities back to 0.01, and at Adam's rate of 0.05 a Gaussian needs some 100 steps in which
# it is seen to come back to a half. That number does not shrink with a shorter schedule, so resets never come
# closer together than this: a fit of 3,000 steps has one, and one of 2,000 steps has none.
MIN_RESET_EVERY = 1000


def resets(context: Refinement, start: int, stop: int, every: int) -> bool:
    """Whether opacities are to be reset now, with constants of the papers' 30,000 steps."""
    between = max(scaled(every, context.steps), MIN_RESET_EVERY)
    if between >= scaled(stop, context.steps):
        return False
    # On white, early Gaussians hide as white haze in front of the cameras: one reset more clears it.
    haze = context.white_background and context.step == max(scaled(start, context.steps), 1)
    return haze or context.step % between == 0


def reset_opacities(trainable: Trainable, opacity: float) -> None:
    """Lower all opacities to at most ``opacity``."""
    logits = trainable.gaussians.logit_opacities.detach()
    lowered = logits.clamp(max=logit(opacity))
    trainable.assign(torch.arange(len(logits)), {"logit_opacities": lowered})
