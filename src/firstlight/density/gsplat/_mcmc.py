"""3DGS-MCMC (Kheradmand et al. 2024) with gsplat's interface."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from firstlight.density._langevin import FADING_AT, STEEPNESS
from firstlight.density.gsplat import ops
from firstlight.density.gsplat._base import Strategy
from firstlight.density.gsplat._surgery import Optimizers, Params

MOST_COPIES = 51  # of one Gaussian at once


@dataclass
class MCMCStrategy(Strategy):
    """Noise on the means; the dead move to where the living are; growth by 5 % at a time to a fixed count.

    3D Gaussian Splatting as Markov Chain Monte Carlo (Kheradmand et al. 2024). Steps are steps: unlike the
    strategies of firstlight's own recipes, nothing scales with the length of the fit. The paper's penalties
    on opacities and scales (0.01 times their means) are the training loop's to add.

    cap_max: Gaussians at most.
    noise_lr: strength of the noise, times the learning rate of the means.
    refine_start_iter, refine_stop_iter, refine_every: when to move and add, both ends exclusive.
    min_opacity: at or below it a Gaussian is dead.
    noise_injection_stop_iter: no noise from this step on; negative, always.
    noise_opacity_t, noise_opacity_k: opacity at which noise has half its strength, and how sharply it fades.
    """

    cap_max: int = 1_000_000
    noise_lr: float = 5e5
    refine_start_iter: int = 500
    refine_stop_iter: int = 25_000
    refine_every: int = 100
    min_opacity: float = 0.005
    verbose: bool = False
    noise_injection_stop_iter: int = -1
    noise_opacity_t: float = FADING_AT
    noise_opacity_k: float = STEEPNESS

    def initialize_state(self) -> dict[str, Any]:
        """The state to pass to every step: binomial coefficients, as gsplat's callers expect."""
        table = [[float(math.comb(n, k)) for k in range(MOST_COPIES)] for n in range(MOST_COPIES)]
        return {"binoms": torch.tensor(table)}

    @torch.no_grad()
    def step_post_backward(
        self,
        params: Params,
        optimizers: Optimizers,
        state: dict[str, Any],
        step: int,
        info: dict[str, Any],
        lr: float,
    ) -> None:
        """After ``loss.backward()``; ``step`` counts from 0, ``lr`` is the present rate of the means."""
        binoms = state["binoms"]
        inside = self.refine_start_iter < step < self.refine_stop_iter
        if inside and step % self.refine_every == 0:
            dead = params["opacities"].flatten().sigmoid() <= self.min_opacity
            ops.relocate(params, optimizers, {}, dead, binoms, self.min_opacity)
            count = len(params["means"])
            more = max(0, min(self.cap_max, int(1.05 * count)) - count)
            if more:
                ops.sample_add(params, optimizers, {}, more, binoms, self.min_opacity)
            if self.verbose:
                print(f"Step {step}: Relocated {int(dead.sum())} GSs.")
                print(f"Step {step}: Added {more} GSs. Now having {count + more} GSs.")
        if self.noise_injection_stop_iter < 0 or step < self.noise_injection_stop_iter:
            ops.inject_noise_to_position(
                params,
                optimizers,
                {},
                lr * self.noise_lr,
                t=self.noise_opacity_t,
                k=self.noise_opacity_k,
            )
