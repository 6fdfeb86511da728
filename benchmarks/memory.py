"""Peak memory of a fit and its evaluation: many photos at full size, many Gaussians.

    python benchmarks/memory.py PHOTOS [--max-size 1008] [--gaussians 200000]

PHOTOS must come with cameras (a COLMAP project, a transforms.json), so that the fit alone is measured. The
Gaussians start at random and stay as many; one step is made for every photo, so all are decoded and kept.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

from firstlight.capture import load
from firstlight.density import Fixed
from firstlight.evaluate import evaluate_photos
from firstlight.fitting import Fit, peak_memory_mb
from firstlight.pipeline import prepare
from firstlight.recipes import get_recipe
from firstlight.starts import RandomBox


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--max-size", type=int, default=1008)
    parser.add_argument("--gaussians", type=int, default=200_000)
    options = parser.parse_args()
    # Photos at full size and all harmonics from the first step: the most that the recipe ever needs.
    recipe = replace(
        get_recipe("default"),
        start=RandomBox(options.gaussians),
        density=Fixed(),
        max_gaussians=None,
        pictures=((0.0, 1.0),),
        sh_every=0.0,
    )
    capture = prepare(load(options.photos), options.max_size)
    fit = Fit(capture, recipe, capture.split("none").train, seed=0)
    fit.begin()
    for _ in range(len(capture)):
        fit.step()
    fitted = peak_memory_mb()
    with torch.no_grad():
        evaluate_photos(
            lambda index: fit.render(fit.pictures.camera(index), fit.model.gaussians)[0], capture, [0]
        )
    photo = capture.photos[0]
    print(
        f"{len(capture)} photos of {photo.width}×{photo.height}, {len(fit.model):,} Gaussians: "
        f"{fitted:.0f} MB after the fit, {peak_memory_mb():.0f} MB after evaluating"
    )


if __name__ == "__main__":
    main()
