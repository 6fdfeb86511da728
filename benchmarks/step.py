"""Milliseconds a training step, stage by stage: the fit's own step with density control off.

    python benchmarks/step.py [PHOTOS] [--max-size 504] [--gaussians 6300] [--steps 200] [--json FILE]

PHOTOS needs cameras and points (a COLMAP project, say); by default the built-in demo with its exact cameras
and random points. Times are this machine's: compare them as ratios of two runs on one machine.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch

from firstlight.capture import load, load_demo
from firstlight.density import Fixed
from firstlight.fitting import Fit, peak_memory_mb
from firstlight.pipeline import machine, prepare, versions
from firstlight.recipes import get_recipe
from firstlight.scene import Capture, Gaussians
from firstlight.starts import PointsOrRandom


def prepared(photos: str, max_size: int) -> Capture:
    """The capture as the fit sees it."""
    capture = load_demo(with_cameras=True) if photos == "demo" else load(photos)
    return prepare(capture, max_size)


@dataclass(frozen=True)
class Several:
    """``count`` of the usual Gaussians: each as often as needed, spread within its size, and smaller."""

    count: int

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        found = PointsOrRandom()(capture, generator)
        times = -(-self.count // len(found))
        rows = torch.randperm(times * len(found), generator=generator)[: self.count] % len(found)
        many = found.select(rows)
        if times > 1:
            many.means = many.means + torch.randn(len(many), 3, generator=generator) * many.scales
            many.log_scales = many.log_scales - math.log(self.count / len(found)) / 2
        return many


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="?", default="demo")
    parser.add_argument("--max-size", type=int, default=504)
    parser.add_argument("--gaussians", type=int, help="instead of one for each sparse point")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    capture = prepared(options.photos, options.max_size)
    # No density control, full-size photos and all SH from the first step: the most that a step can cost.
    recipe = replace(
        get_recipe("vanilla"), density=Fixed(), pictures=((0.0, 1.0),), sh_every=0.0, steps=10 * options.steps
    )
    if options.gaussians:
        recipe = replace(recipe, start=Several(options.gaussians))
    split = capture.split()
    fit = Fit(capture, recipe, split.train, options.seed)
    fit.begin()
    for _ in range(20 + len(split.train)):  # compile, and decode every photo once
        fit.step()
    times = []
    for _ in range(options.steps):
        began = time.perf_counter()
        fit.step()
        times.append(1000 * (time.perf_counter() - began))
    photo = capture.photos[split.train[0]]
    result = {
        "photos": Path(options.photos).name,
        "width": photo.width,
        "height": photo.height,
        "gaussians": len(fit.model),
        "step_ms": {
            "median": round(median(times), 2),
            "min": round(min(times), 2),
            "max": round(max(times), 2),
        },
        "steps_per_second": round(1000 / median(times), 1),
        "peak_memory_mb": round(peak_memory_mb()),
        "seed": options.seed,
        "threads": torch.get_num_threads(),
        "machine": machine(),
        "versions": versions(),
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
