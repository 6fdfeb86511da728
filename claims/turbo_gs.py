"""Turbo-GS: Accelerating 3D Gaussian Fitting for High-Quality Radiance Fields (Lu et al. 2024).

Up to 24 photos at 160 pixels. Vanilla takes 1,500 steps, and 500 as the baseline that counts: its
schedule is pressed into them. Turbo-GS takes 500. What dilated pictures save is timed at 256 pixels,
step beside step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import median

from claims._bench import Bench, Effort, Trials, ahead, all_fits, benches, expect, for_the_record
from claims.runner import Row, judged
from firstlight.density import Fixed, Turbo
from firstlight.fitting import Fit, Recipe

TIMED, TIMED_SIZE = 100, 256  # steps, pixels

EFFORT = Effort(steps=1500, sets=("demo", "fox"))


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, sets = Trials("turbo_gs", effort), benches(effort, 24)
    few = replace(effort, steps=effort.steps // 3)
    turbo = few.recipe("turbo-gs")
    density = turbo.density
    assert isinstance(density, Turbo)
    arms = {
        "vanilla": effort.recipe("vanilla"),
        "vanilla, a third": few.recipe("vanilla"),
        "turbo": turbo,
        "turbo, no appearance": replace(turbo, density=replace(density, appearance_chance=0.0)),
        "turbo, every pixel": replace(turbo, dilation=((0.0, 1),)),
    }
    found = all_fits(trials, sets, arms)
    yield expect(
        "in a third of the steps at most 0.2 dB below vanilla", ahead(found["turbo"], found["vanilla"]), -0.2
    )
    yield expect(
        "in as many steps at least 0.3 dB above vanilla",
        ahead(found["turbo"], found["vanilla, a third"]),
        0.3,
    )
    yield expect(
        "growth by appearance is worth at least 0.1 dB",
        ahead(found["turbo"], found["turbo, no appearance"]),
        0.1,
    )
    yield expect(
        "dilated pictures cost at most 0.3 dB", ahead(found["turbo"], found["turbo, every pixel"]), -0.3
    )
    large = benches(replace(effort, size=TIMED_SIZE, sets=effort.sets[:1]), 24)
    shares = {
        bench.name: trials.value(f"{bench.name}, time of a step", partial(share, bench, turbo))
        for bench in large
    }
    yield Row(
        "a step on every second pixel, across and down, takes at most 45 % of a whole one",
        "; ".join(f"{name} {value:.0%}" for name, value in shares.items()),
        judged([value <= 0.45 for value in shares.values()]),
    )
    yield for_the_record(found)
    trials.settled()


def share(bench: Bench, recipe: Recipe) -> float:
    """Median time of a dilated step over that of a whole one; the two take turns."""
    fits = []
    for every in (2, 1):
        fit = Fit(
            bench.capture, replace(recipe, dilation=((0.0, every),), density=Fixed()), bench.split.train, 0
        )
        fit.begin()
        fits.append(fit)
    times: list[list[float]] = [[], []]
    for _ in range(TIMED + len(bench.split.train)):
        for fit, mine in zip(fits, times, strict=True):
            began = time.perf_counter()
            fit.step()
            mine.append(time.perf_counter() - began)
    dilated, whole = (median(mine[len(bench.split.train) :]) for mine in times)  # each photo decoded once
    return dilated / whole
