"""What the start of a network is worth to a scene: LSUV against torch's own, for PointGS and CoherentGS.

    python benchmarks/weights.py PHOTOS [--views 3] [--max-size 160] [--steps 300] [--seeds 3] [--json FILE]

PHOTOS: anything that firstlight reads and that comes with cameras. Depth is firstlight's stereo. Prints
held-out PSNR at a tenth, a third and all of the steps: a start is worth most where a fit is short.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.capture import load
from firstlight.fitting import Fit, Recipe
from firstlight.geometry import densify
from firstlight.pipeline import prepare
from firstlight.recipes import get_recipe
from firstlight.representations import CoherentGs, PointGs
from firstlight.scene import Capture, Split

RECIPES = ("pointgs", "coherentgs")
STARTS = ("torch", "lsuv")
LOOKS = (0.1, 1 / 3, 1.0)  # of the steps


def recipe_with(name: str, weights: Any, steps: int) -> Recipe:
    """The recipe with networks that begin by ``weights``."""
    recipe = get_recipe(name)
    assert isinstance(recipe.representation, PointGs | CoherentGs)
    return replace(recipe, representation=replace(recipe.representation, weights=weights), steps=steps)


def course(capture: Capture, recipe: Recipe, split: Split, seed: int) -> list[float]:
    """Held-out PSNR at ``LOOKS``."""
    fit = Fit(capture, recipe, split.train, seed)
    fit.begin()
    seen = []
    for look in LOOKS:
        while fit.done < look * recipe.steps - 0.5:
            fit.step()
        seen.append(fit.probe(split.test))
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos")
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--max-size", type=int, default=160)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    capture = prepare(load(options.photos), options.max_size)
    split = capture.split(views=options.views)
    capture = densify(capture, photos=split.train, max_size=options.max_size)
    rows = []
    print(f"{'recipe':12} {'weights':8} " + " ".join(f"{look:>6.0%}" for look in LOOKS) + "  ± of seeds, dB")
    for name in options.recipes:
        for weights in STARTS:
            recipe = recipe_with(name, weights, options.steps)
            seen = [course(capture, recipe, split, seed) for seed in range(options.seeds)]
            mean, spread = np.mean(seen, 0), np.ptp(seen, 0) / 2
            print(
                f"{name:12} {weights:8} " + " ".join(f"{one:6.2f}" for one in mean) + f"  {spread[-1]:.2f}",
                flush=True,
            )
            rows.append({"recipe": name, "weights": weights, "psnr": seen, "looks": LOOKS})
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
