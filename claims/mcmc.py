"""3D Gaussian Splatting as Markov Chain Monte Carlo (Kheradmand et al. 2024).

Up to 24 photos, at most 10,000 Gaussians, 1,000 steps at 160 pixels. Random starts are 5,000 Gaussians
in a cube three times as large as the cameras' reach, as the paper's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean

from claims._bench import Effort, Trials, ahead, all_fits, benches, expect, for_the_record
from claims.runner import Row
from firstlight.starts import RandomBox

EFFORT = Effort(sets=("demo", "fox"))


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, sets = Trials("mcmc", effort), benches(effort, 24)
    mcmc, vanilla = effort.recipe("mcmc"), effort.recipe("vanilla")
    arms = {
        "mcmc": mcmc,
        "mcmc, random": replace(mcmc, start=RandomBox(5000, opacity=0.5, scale=0.1, radius=3.0)),
        "vanilla": vanilla,
        "vanilla, random": replace(vanilla, start=RandomBox(5000, radius=3.0)),
    }
    found = all_fits(trials, sets, arms)
    yield expect(
        "from random points it ends within 0.5 dB of where it ends from sparse points",
        ahead(found["mcmc, random"], found["mcmc"]),
        -0.5,
    )
    yield expect(
        "at most as many Gaussians, sparse points: at least 0.3 dB above vanilla",
        ahead(found["mcmc"], found["vanilla"]),
        0.3,
    )
    lost = ahead(found["mcmc"], found["mcmc, random"])
    vanillas = ahead(found["vanilla"], found["vanilla, random"])
    spared = {name: [fmean(vanillas[name]) / 2 - loss for loss in lost[name]] for name in lost}
    row = expect("what a random start costs it is less than half of what that costs vanilla", spared, 0.0)
    yield replace(row, measured=f"half of vanilla's loss less its own: {row.measured}")
    yield for_the_record(found)
    trials.settled()
