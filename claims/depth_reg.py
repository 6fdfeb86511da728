"""DRGS (Chung et al. 2024): depth of single photos guides a fit of few views, and says when to stop.

3 and 5 training photos, 160 pixels, 1,000 steps, the recipe `depth-reg` without its stop: plain 3DGS, either
term, and both. Depth comes from firstlight's stereo on the training photos instead of ZoeDepth; how wrong it
is at held-out photos is known on the demo alone. The stop is judged by its regret on the demo: the best
held-out PSNR on the way, less that where the recipe stops. NeRF-LLFF's protocol and the paper's network are
not used, so its own figures are not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import fmean

from claims._bench import Bench, Effort, Trials, benches, expect, quality, spread
from claims._few_views import gain, less_wrong, sights
from claims.runner import Row, judged
from firstlight.fitting import DepthRegularisation, Fit, Photometric, Recipe

EFFORT = Effort()
PROBES = 10  # looks at held-out photos on the way


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials = Trials("depth_reg", effort)
    recipe = effort.recipe("depth-reg")
    arms = {
        "plain": replace(recipe, losses=(Photometric(),), stop=None),
        "depth": replace(recipe, losses=(Photometric(), DepthRegularisation(smooth=0)), stop=None),
        "smooth": replace(recipe, losses=(Photometric(), DepthRegularisation(depth=0)), stop=None),
        "both": replace(recipe, stop=None),
    }
    for views in (3, 5):
        found = sights(trials, benches(effort, views), arms)
        both, plain = found["both"], found["plain"]
        yield expect(f"{views} views: both terms gain 1 dB over plain 3DGS", gain(both, plain), 1.0)
        yield expect(
            f"{views} views: depth at held-out photos is 30 % less wrong", less_wrong(both, plain), 30, "%", 0
        )
        gaps = {
            name: [
                (b.train_psnr - b.psnr) - (a.train_psnr - a.psnr)
                for a, b in zip(both[name], plain[name], strict=True)
            ]
            for name in both
        }
        yield expect(f"{views} views: training photos are less ahead of held-out ones", gaps, 0.0)
        alone = "; ".join(
            f"{arm}: "
            + ", ".join(f"{name} {fmean(one.psnr for one in fits):.2f}" for name, fits in each.items())
            for arm, each in found.items()
        )
        yield Row(f"{views} views: held-out PSNR, for the record", alone, "")
    demo = next(bench for bench in benches(effort, 3) if bench.name == "demo")
    regrets = [
        trials.values(f"regret, seed {seed}", partial(_regret, demo, recipe, seed)) for seed in effort.seeds
    ]
    stopped, ended, steps = (list(column) for column in zip(*regrets, strict=True))
    at = ", ".join(f"{step:.0f}" for step in steps)
    yield Row(
        "3 views, demo: the stop's regret is under 0.3 dB and under that of the last step",
        f"{spread(stopped)} dB at steps {at}; {spread(ended)} dB at the end",
        judged([fmean(stopped) < 0.3 and fmean(stopped) < fmean(ended)]),
    )
    trials.settled()


def _regret(bench: Bench, recipe: Recipe, seed: int) -> list[float]:
    """dB below the best on the way: where the recipe would stop, and at its last step; and that step."""
    assert recipe.geometry is not None
    capture, _ = bench.with_geometry(recipe.geometry)
    assert capture.cameras is not None
    fit = Fit(capture, recipe, bench.split.train, seed)
    fit.begin()
    seen: dict[int, float] = {}
    stop = 0
    while fit.done < recipe.steps:
        fit.step()
        if fit.over and not stop:
            stop = fit.done
        if fit.done in (stop, recipe.steps) or fit.done % max(1, recipe.steps // PROBES) == 0:
            seen[fit.done] = quality(fit.model.gaussians.detach(), capture, capture.cameras, bench.split.test)
    best, stop = max(seen.values()), stop or fit.done
    return [best - seen[stop], best - seen[recipe.steps], float(stop)]
