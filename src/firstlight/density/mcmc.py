"""3D Gaussian Splatting as Markov Chain Monte Carlo (Kheradmand et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from firstlight.density._langevin import shaken
from firstlight.density._sharing import share
from firstlight.density.strategy import PAPER_STEPS, Refinement, State, Trainable, due, interval
from firstlight.sampling import draw
from firstlight.scene import Gaussians


@dataclass(frozen=True)
class Mcmc:
    """Noise on the means; the dead move to where the living are; growth to a fixed count.

    Steps are written for a fit of 30,000 and scale with its length. Where refinements cannot come as often
    as that asks (there are at least 50 steps between two), each grows by more, so that growth keeps its pace.
    The two regularisers of the paper, on opacities and scales, are losses of the recipe.

    The noise is a rate, which is a length, times a covariance, a length squared. The paper counts these in
    whatever unit structure from motion gave; here the latter's is ``scene.unit_of`` the extent.
    """

    max_gaussians: int = 100_000
    growth: float = 0.05  # at each refinement
    min_opacity: float = 0.005  # at or below it a Gaussian is dead
    noise: float = 5e5  # times the learning rate of the means
    start: int = 500
    stop: int = 25_000
    every: int = 100

    def limited(self, most: int) -> Mcmc:
        return replace(self, max_gaussians=most)

    def initialize(self, count: int) -> State:
        return {}

    def observe(self, state: State, meta: dict[str, Any], gaussians: Gaussians) -> None:
        pass

    @torch.no_grad()
    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        words = None
        if due(context, self.start, self.stop, self.every):
            moved = self._relocate(trainable, context.generator)
            added = self._grow(trainable, context)
            words = f"+{added}, {moved} moved"
        self._shake(trainable, context)
        return words

    def _relocate(self, trainable: Trainable, generator: torch.Generator) -> int:
        """Put each dead Gaussian where a living one is; returns how many."""
        gaussians = trainable.gaussians.detach()
        opacities = gaussians.opacities
        dead = (opacities <= self.min_opacity).nonzero().squeeze(-1)
        alive = (opacities > self.min_opacity).nonzero().squeeze(-1)
        if len(dead) == 0 or len(alive) == 0:
            return 0
        sources = alive[draw(opacities[alive], len(dead), generator)]
        shared = self._shared(gaussians, sources)
        parents = _distinct(sources)
        copies = shared.select(torch.cat([sources, parents]))
        trainable.assign(torch.cat([dead, parents]), copies.tensors())
        return len(dead)

    def _grow(self, trainable: Trainable, context: Refinement) -> int:
        """Add copies of living Gaussians up to the next count; returns how many."""
        gaussians = trainable.gaussians.detach()
        count = len(gaussians)
        more = min(self.max_gaussians, max(int(count * self._factor(context.steps)), count + 1)) - count
        if more <= 0:
            return 0
        sources = draw(gaussians.opacities, more, context.generator)
        shared = self._shared(gaussians, sources)
        parents = _distinct(sources)
        trainable.assign(parents, shared.select(parents).tensors())
        trainable.rebuild(torch.arange(count), shared.select(sources))
        return more

    def _factor(self, steps: int) -> float:
        """Growth of one refinement; at most doubling, so that a copy is seldom the copy of a copy."""
        wanted = self.every * steps / PAPER_STEPS
        return float(min((1 + self.growth) ** (interval(self.every, steps) / wanted), 2.0))

    def _shared(self, gaussians: Gaussians, sources: Tensor) -> Gaussians:
        """``gaussians`` with each of ``sources`` [M] turned into one of the copies that stand for it."""
        copies = torch.bincount(sources, minlength=len(gaussians)) + 1
        rows = _distinct(sources)
        opacity, shrink = share(gaussians.opacities[rows], copies[rows])
        shared = gaussians.clone()
        shared.logit_opacities[rows] = opacity.clamp(self.min_opacity, 1 - 1e-6).logit().float()
        shared.log_scales[rows] += shrink.log().float()[:, None]
        return shared

    def _shake(self, trainable: Trainable, context: Refinement) -> None:
        """Langevin noise, shaped like each Gaussian, on the means of those that are nearly transparent."""
        gaussians = trainable.gaussians.detach()
        loud = context.means_rate * self.noise / context.unit**2
        rows, means = shaken(
            gaussians.means,
            gaussians.quats,
            gaussians.log_scales,
            gaussians.logit_opacities,
            loud,
            fading_at=self.min_opacity,
            generator=context.generator,
        )
        if len(rows):
            trainable.assign(rows, {"means": means}, forget=False)


def _distinct(rows: Tensor) -> Tensor:
    return torch.unique(rows)  # type: ignore[no-any-return]
