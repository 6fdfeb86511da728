"""DRGS (Chung et al. 2024): depth of single photos guides a fit of few views, and says when to stop.

The demo at 128 pixels with its exact cameras, 3 and 5 photos over some 70°, six or four between them held
out; firstlight's stereo from the training photos stands for ZoeDepth, 400 of its points for those of
structure from motion. Arms of the recipe `depth-reg` without its stop, 600 steps, three seeds: plain 3DGS,
either term, both, and both with depth known up to scale and offset, fitted to 10 points of which one is
wrong. The stop is judged by its regret: the best held-out PSNR on the way less that at the stop, and less
that at the end. NeRF-LLFF and the paper's network are not used, so its own figures are not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from claims._few_views import SEEDS, Quality, few, mean, quality, spread
from claims.runner import Row
from firstlight.fitting import DepthRegularisation, Fit, Photometric, Recipe, fit_gaussians
from firstlight.geometry._monocular import align
from firstlight.recipes import get_recipe
from firstlight.scene import Capture, Split

VIEWS = {3: (6, 11, 16), 5: (6, 8, 11, 14, 16)}
BETWEEN = range(7, 16)
STEPS = 600
PROBES = 12  # looks at held-out photos on the way


def claim(steps: int = STEPS, seeds: tuple[int, ...] = SEEDS) -> Iterator[Row]:
    """What is expected, measured."""
    for views, train in VIEWS.items():
        capture, truth, split = few(train, [i for i in BETWEEN if i not in train])
        fitted = fitted_to_points(capture, split)
        arms = {
            "plain": (capture, ()),
            "depth": (capture, (DepthRegularisation(smooth=0),)),
            "smooth": (capture, (DepthRegularisation(depth=0),)),
            "both": (capture, (DepthRegularisation(),)),
            "fitted": (fitted, (DepthRegularisation(),)),
        }
        found: dict[str, list[Quality]] = {}
        for name, (given, terms) in arms.items():
            recipe = replace(get_recipe("depth-reg"), losses=(Photometric(), *terms), stop=None, steps=steps)
            scenes = [fit_gaussians(given, recipe, split, seed=seed).gaussians for seed in seeds]
            found[name] = [quality(scene, truth, split) for scene in scenes]
        plain, both = mean(found["plain"]), mean(found["both"])
        told = ", ".join(f"{name} {mean(qualities).held_out:.2f}" for name, qualities in found.items())
        noise = max(spread(found["plain"]), spread(found["both"]))
        yield Row(
            f"{views} views: both terms gain 1 dB over plain 3DGS, and more than seeds differ",
            f"{told} dB; seeds differ by {noise:.2f}",
            both.held_out - plain.held_out >= max(1.0, noise),
        )
        yield Row(
            f"{views} views: depth at held-out photos is a third less wrong",
            f"{100 * both.depth:.1f} % with both, {100 * plain.depth:.1f} % without",
            both.depth <= plain.depth * 2 / 3,
        )
        gaps = [one.train - one.held_out for one in (both, plain)]
        yield Row(
            f"{views} views: training and held-out photos differ less",
            f"{gaps[0]:.2f} dB with both, {gaps[1]:.2f} dB without",
            gaps[0] < gaps[1],
        )
        rough = mean(found["fitted"])
        yield Row(
            f"{views} views: depth fitted to 10 points, one of them wrong, is within 0.5 dB",
            f"{rough.held_out:.2f} dB; {both.held_out:.2f} dB with depth as it is",
            rough.held_out >= both.held_out - 0.5,
        )
    capture, truth, split = few(VIEWS[3], [i for i in BETWEEN if i not in VIEWS[3]])
    recipe = replace(get_recipe("depth-reg"), steps=steps)
    regrets = [regret(capture, truth, recipe, split, seed) for seed in seeds]
    stopped, ended = (float(np.mean([one[k] for one in regrets])) for k in (0, 1))
    at = [one[2] for one in regrets]
    yield Row(
        "3 views: the stop's regret is under 0.3 dB and under that of the last step",
        f"{stopped:.2f} dB at steps {', '.join(map(str, at))}; {ended:.2f} dB at the end of {steps}",
        stopped < 0.3 and stopped < ended,
    )


def regret(
    capture: Capture, truth: Capture, recipe: Recipe, split: Split, seed: int
) -> tuple[float, float, int]:
    """dB below the best on the way: where the recipe would stop, and at its last step; and that step."""
    fit = Fit(capture, recipe, split.train, seed)
    fit.begin(capture.select(split.train))
    seen, stop = {}, 0
    while fit.done < recipe.steps:
        fit.step()
        ends = fit.over and not stop
        if ends:
            stop = fit.done
        if ends or fit.done % (recipe.steps // PROBES) == 0:
            seen[fit.done] = quality(fit.model.gaussians, truth, split).held_out
    stop, best = stop or fit.done, max(seen.values())
    return best - seen[stop], best - seen[fit.done], stop


def fitted_to_points(capture: Capture, split: Split, seed: int = 0) -> Capture:
    """``capture`` whose depths went through an unknown scale and offset and back by ten points, one wrong."""
    rng, photos = np.random.default_rng(seed), list(capture.photos)
    for index in split.train:
        picture = photos[index].depth
        assert picture is not None
        depth = picture()
        said = np.where(depth > 0, (1 / np.maximum(depth, 1e-6) - 0.03) / 0.7, 0).astype(np.float32)
        row, column = np.nonzero(depth > 0)
        chosen = rng.choice(len(row), 10, replace=False)
        pixels = np.stack([column, row], -1)[chosen].astype(np.float64)
        known = depth[row[chosen], column[chosen]].astype(np.float64)
        known[0] *= 2
        aligned = align(said, pixels, known, rng)
        assert aligned is not None
        back = np.where(depth > 0, aligned[0], 0).astype(np.float32)
        photos[index] = replace(photos[index], depth=partial(_given, back))
    return replace(capture, photos=photos)


def _given(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return depth
