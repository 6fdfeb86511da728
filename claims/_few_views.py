"""What claims about few views look at beside held-out PSNR: how wrong depth is from there."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch

from claims._bench import Bench, Trials, measured
from firstlight.fitting import Recipe
from firstlight.render import render_camera
from firstlight.scene import Gaussians


class Seen(NamedTuple):
    """Of one fit."""

    psnr: float  # dB, mean over held-out photos
    train_psnr: float  # dB
    depth: float  # median relative error at held-out photos; 0 where the truth is not known


Sights = dict[str, list[Seen]]  # set → a fit a seed


def sights(trials: Trials, sets: Sequence[Bench], arms: Mapping[str, Recipe]) -> dict[str, Sights]:
    """Arm → set → a fit for each seed."""
    return {
        arm: {bench.name: _fits(trials, bench, arm, recipe) for bench in sets} for arm, recipe in arms.items()
    }


def _fits(trials: Trials, bench: Bench, arm: str, recipe: Recipe) -> list[Seen]:
    made_of = zlib.crc32(json.dumps(recipe.to_dict(), sort_keys=True).encode())
    key = f"{bench.name}, {len(bench.split.train)} photos, {arm} {made_of:08x} with depth"

    def measure(seed: int) -> list[float]:
        numbers, fitted = measured(bench, recipe, seed)
        return [numbers.psnr, numbers.train_psnr, depth_error(fitted.gaussians, bench)]

    return [
        Seen(*trials.values(f"{key}, seed {seed}", partial(measure, seed))) for seed in trials.effort.seeds
    ]


@torch.no_grad()
def depth_error(gaussians: Gaussians, bench: Bench) -> float:
    """Median relative error of depth, mean over held-out photos; what is not drawn is wrong by 1."""
    truth = bench.truth
    if truth is None or truth.cameras is None:
        return 0.0
    errors = []
    for index in bench.split.test:
        known = truth.photos[index].depth
        if known is None:
            continue
        true = torch.from_numpy(known())
        colors, alpha, _ = render_camera(gaussians, truth.cameras.select([index]), depth=True)
        off = torch.where(alpha > 0.5, (colors[..., 3] / true.clamp(min=1e-6) - 1).abs(), 1.0)
        errors.append(float(off[true > 0].median()))
    return sum(errors) / len(errors) if errors else 0.0


def gain(better: Sights, worse: Sights) -> dict[str, list[float]]:
    """Set → by how many dB the one is above the other, seed by seed."""
    return {
        name: [a.psnr - b.psnr for a, b in zip(better[name], worse[name], strict=True)] for name in better
    }


def less_wrong(better: Sights, worse: Sights) -> dict[str, list[float]]:
    """Set whose depth is known → by how many per cent depth is less wrong, seed by seed."""
    return {
        name: [100 * (1 - a.depth / b.depth) for a, b in zip(better[name], worse[name], strict=True)]
        for name in better
        if all(one.depth > 0 for one in worse[name])
    }
