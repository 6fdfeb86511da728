"""CoherentGS (Paliwal et al. 2024): pixels' Gaussians that move coherently along their rays hold together.

The demo at 128 pixels with its exact cameras, 3 photos over some 35°, four between them held out; depth is
firstlight's stereo. All arms begin with the same Gaussian for each second pixel: free ones; depths and
opacities of pixels' own that move on rays, with total variation (TV); the decoder alone, with TV, with
flow, with both, and with torch's own way to begin in the place of LSUV. 400 steps, three seeds. The paper's
monocular depth, flow network and data sets are not used, so its own figures are not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from claims._few_views import SEEDS, Quality, few, mean, quality, spread
from claims.runner import Row
from firstlight.fitting import Recipe, fit_gaussians
from firstlight.recipes import get_recipe
from firstlight.representations import CoherentGs
from firstlight.starts import PixelStart

TRAIN, TEST = (8, 11, 14), (9, 10, 12, 13)
STEPS, PIXELS = 400, 10_000


def arms() -> dict[str, Recipe]:
    """The same start, losses and photos; what differs is what moves and what holds it."""
    whole = CoherentGs(most=PIXELS)
    recipe = replace(get_recipe("coherentgs"), start=PixelStart(PIXELS), representation=whole)
    variants = {
        "TV without decoder": replace(whole, decoded=False, flow=0.0),
        "decoder": replace(whole, smooth=0.0, flow=0.0),
        "decoder, TV": replace(whole, flow=0.0),
        "decoder, flow": replace(whole, smooth=0.0),
        "all": whole,
        "all, torch's start": replace(whole, weights="torch"),
    }
    decoded = {name: replace(recipe, representation=variant) for name, variant in variants.items()}
    return {"free": replace(recipe, representation=None), **decoded}


def claim(steps: int = STEPS, seeds: tuple[int, ...] = SEEDS) -> Iterator[Row]:
    """What is expected, measured."""
    capture, truth, split = few(TRAIN, TEST)
    found: dict[str, list[Quality]] = {}
    for name, arm in arms().items():
        recipe = replace(arm, steps=steps)
        scenes = [fit_gaussians(capture, recipe, split, seed=seed).gaussians for seed in seeds]
        found[name] = [quality(scene, truth, split) for scene in scenes]
    told = ", ".join(f"{name} {mean(qualities).held_out:.2f}" for name, qualities in found.items())
    whole, free = mean(found["all"]), mean(found["free"])
    noise = max(spread(qualities) for qualities in found.values())
    yield Row(
        "all parts gain 1.5 dB over free Gaussians, and more than seeds differ",
        f"{told} dB; seeds differ by up to {noise:.2f}",
        whole.held_out - free.held_out >= max(1.5, noise),
    )
    yield Row(
        "depth at held-out photos is less wrong",
        f"{100 * whole.depth:.1f} % with all parts, {100 * free.depth:.1f} % free",
        whole.depth < free.depth,
    )
    smooth, decoded = mean(found["TV without decoder"]), mean(found["decoder, TV"])
    yield Row(
        "the decoder is worth 0.2 dB more than TV alone",
        f"{decoded.held_out:.2f} dB with it, {smooth.held_out:.2f} dB without",
        decoded.held_out - smooth.held_out >= 0.2,
    )
    plain = mean(found["all, torch's start"])
    yield Row(
        "LSUV is worth more than seeds differ over torch's own start of the decoders",
        f"{whole.held_out - plain.held_out:+.2f} dB held out",
        whole.held_out - plain.held_out > spread(found["all"]),
    )
