"""Taming 3DGS: High-Quality Radiance Fields with Limited Resources (Mallick et al. 2024).

Up to 24 photos at 160 pixels, 1,000 steps, from 1,000 sparse points to a budget of 3,000. Beside the
full score: parents drawn by their gradient alone, drawn at random, and vanilla density control with the
same budget.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from torch import Tensor

from claims._bench import Bench, Effort, Trials, ahead, all_fits, benches, expect, for_the_record
from claims.runner import Row, judged
from firstlight.density import Taming
from firstlight.density.strategy import Refinement, occasions
from firstlight.fitting import Fit, Recipe
from firstlight.scene import Gaussians
from firstlight.starts import SfmPoints

BUDGET, FIRST = 3000, 1000

EFFORT = Effort(sets=("demo", "fox"))


@dataclass(frozen=True)
class ByGradient(Taming):
    """The score is the gradient alone."""

    def _scores(self, gaussians: Gaussians, gradient: Tensor, context: Refinement) -> Tensor:
        return gradient


@dataclass(frozen=True)
class ByChance(Taming):
    """The score is a random number."""

    def _scores(self, gaussians: Gaussians, gradient: Tensor, context: Refinement) -> Tensor:
        return torch.rand(len(gaussians), generator=context.generator)


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, sets = Trials("taming", effort), benches(effort, 24)
    start = SfmPoints(max_points=FIRST)
    full = replace(effort.recipe("taming").limited(BUDGET), start=start)
    settings = {f.name: getattr(full.density, f.name) for f in fields(Taming)}
    arms = {
        "full": full,
        "gradient": replace(full, density=ByGradient(**settings)),
        "chance": replace(full, density=ByChance(**settings)),
        "vanilla": replace(effort.recipe("vanilla").limited(BUDGET), start=start, rates=full.rates),
    }
    found = all_fits(trials, sets, arms)
    ends = {name: [fit.gaussians for fit in fits] for name, fits in found["full"].items()}
    yield Row(
        f"it ends with exactly {BUDGET:,} Gaussians",
        "; ".join(f"{name} {', '.join(f'{end:,}' for end in each)}" for name, each in ends.items()),
        judged([set(each) == {BUDGET} for each in ends.values()]),
    )
    over = {
        bench.name: trials.value(f"{bench.name}, over the curve", partial(over_curve, bench, full))
        for bench in sets
    }
    yield Row(
        "at no step are there more than the curve of its growth allows",
        "; ".join(f"{name} {value:+,.0f} at most" for name, value in over.items()),
        judged([value <= 0 for value in over.values()]),
    )
    yield expect("at least 0.3 dB above parents drawn at random", ahead(found["full"], found["chance"]), 0.3)
    yield expect(
        "at least 0.3 dB above vanilla with that budget", ahead(found["full"], found["vanilla"]), 0.3
    )
    yield expect(
        "its score is worth 0.1 dB above the gradient alone", ahead(found["full"], found["gradient"]), 0.1
    )
    yield for_the_record(found)
    trials.settled()


def over_curve(bench: Bench, recipe: Recipe) -> int:
    """The most that a fit is above its curve at any step; below 0 where it always stays under it."""
    density = recipe.density
    assert isinstance(density, Taming)
    fit = Fit(bench.capture, recipe, bench.split.train, seed=0)
    fit.begin()
    first = allowed = len(fit.model)
    times, worst = occasions(density.start, density.stop, density.every, recipe.steps), 0
    while fit.done < recipe.steps:
        fit.step()
        if fit.done in times:
            allowed = density.target(first, fit.done, recipe.steps)
        worst = max(worst, len(fit.model) - allowed)
    return worst
