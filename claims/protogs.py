"""ProtoGS: Efficient and High-Quality Rendering with 3D Gaussian Prototypes (2025).

All training photos, 160 pixels, 1,000 steps. Vanilla grows to at most 10,000 Gaussians in the first half;
a tenth of them is left for the second half, chosen in four ways: prototypes in groups around the sparse
points, prototypes of K-means over all at once, those that paint most of the training photos, and any. Beside
them 3DGS-MCMC with just as many from the start, and vanilla with all. Time is that of drawing the held-out
photos at 320 pixels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from claims._bench import Bench, Effort, Trials, ahead, all_fits, benches, expect, for_the_record, measured
from claims.runner import Row, judged
from firstlight.density import Fixed, Refinement
from firstlight.fitting import Model, PlainModel, Recipe
from firstlight.render import render_camera
from firstlight.representations import Prototypes, painted
from firstlight.scene import Cameras, Capture, Gaussians

EFFORT = Effort(sets=("demo", "fox"))


@dataclass(frozen=True)
class Kept:
    """A tenth of the Gaussians as they are: those that paint most of the training photos, or any."""

    after: float = 0.5
    ratio: float = 10.0
    best: bool = True

    def limited(self, most: int) -> Kept:
        return self

    def begin(self, gaussians: Gaussians, capture: Capture, now: Refinement) -> Model:
        count = len(gaussians)
        worth = painted(count, now) if self.best else torch.rand(count, generator=now.generator)
        rows = worth.argsort(descending=True, stable=True)[: round(count / self.ratio)]
        return PlainModel(gaussians.select(rows), Fixed())

    def restore(self, state: dict[str, Tensor], capture: Capture) -> Model:
        return PlainModel.restore(state, Fixed())


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, sets = Trials("protogs", effort), benches(effort, None)
    full, vanilla = effort.recipe("protogs"), effort.recipe("vanilla")
    assert isinstance(full.representation, Prototypes)
    arms = {
        "prototypes": full,
        "one group": replace(full, representation=replace(full.representation, anchored=False)),
        "best kept": replace(full, representation=Kept()),
        "any kept": replace(full, representation=Kept(best=False)),
        "vanilla": vanilla,
    }
    found = all_fits(trials, sets, arms)
    left = {name: round(fmean(fit.gaussians for fit in fits)) for name, fits in found["prototypes"].items()}
    found["mcmc"] = {
        bench.name: trials.fits(bench, "mcmc", effort.recipe("mcmc").limited(left[bench.name]))
        for bench in sets
    }
    counts = "; ".join(
        f"{name} {left[name]:,} for {fmean(fit.gaussians for fit in fits):,.0f}"
        for name, fits in found["vanilla"].items()
    )
    row = expect(
        "at least 0.5 dB above the best of the Gaussians themselves, as many of them",
        ahead(found["prototypes"], found["best kept"]),
        0.5,
    )
    yield replace(row, measured=f"{row.measured} (prototypes: {counts})")
    yield expect(
        "not more than 0.2 dB below 3DGS-MCMC with as many from the start",
        ahead(found["prototypes"], found["mcmc"]),
        -0.2,
    )
    yield expect(
        "groups around sparse points are not below K-means over all",
        ahead(found["prototypes"], found["one group"]),
        0.0,
    )
    yield expect(
        "a large part of the Gaussians is saved without loss: not below vanilla with all",
        ahead(found["prototypes"], found["vanilla"]),
        0.0,
    )
    times = {
        bench.name: trials.values(
            f"{bench.name}, drawing", partial(drawing, bench, full, vanilla, effort.seeds[0])
        )
        for bench in sets
    }
    yield Row(
        "pictures are drawn at least three times as fast as with all",
        "; ".join(
            f"{name} {1e3 * few:.1f} ms, with all {1e3 * all_:.1f} ms" for name, (few, all_) in times.items()
        ),
        judged([all_ >= 3 * few for few, all_ in times.values()]),
    )
    yield for_the_record(found)
    trials.settled()


def drawing(bench: Bench, few: Recipe, all_: Recipe, seed: int, size: int = 320) -> tuple[float, float]:
    """Seconds for a held-out photo's picture with the one recipe's scene and with the other's: the median of
    nine rounds, in turn."""
    scenes = [measured(bench, recipe, seed)[1].gaussians for recipe in (few, all_)]
    capture = bench.capture
    assert capture.cameras is not None
    cameras = capture.cameras.select(bench.split.test)
    factor = size / int(torch.maximum(cameras.width, cameras.height).max())
    cameras = cameras.resized((cameras.width * factor).long(), (cameras.height * factor).long())
    rounds = [[_seconds(scene, cameras) for scene in scenes] for _ in range(9)]
    first, second = torch.tensor(rounds).median(0).values.tolist()
    return first, second


@torch.no_grad()
def _seconds(scene: Gaussians, cameras: Cameras) -> float:
    began = time.perf_counter()
    for i in range(len(cameras)):
        render_camera(scene, cameras.select([i]))
    return (time.perf_counter() - began) / len(cameras)
