"""LM-Gaussian (Yu et al. 2024): a dense start, held to its own points and to depth, from few photos around.

The demo at 128 pixels with its exact cameras, 6 and 12 photos around the scene, the others held out. The
dense start is firstlight's stereo from the training photos, each point moved along its ray by 5 % of its
depth at random, as a network's would be. Arms of the recipe `lm-gaussian`, 600 steps, three seeds: the start
alone; with its points as a guide between photos; with Pearson's correlation of depth; with both; and with
both while each photo has another one's depth, which must not help. Held-out photos count as near or far by
the distance to the nearest training camera. Diffusion has no part in this: its weights are not at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from claims._few_views import SEEDS, Quality, few, mean, quality, spread
from claims.runner import Row
from firstlight.fitting import DepthCorrelation, Photometric, StartGuidance, Term, fit_gaussians
from firstlight.recipes import get_recipe
from firstlight.scene import Capture, Split

NOISE = 0.05  # of depth
STEPS = 600


def claim(steps: int = STEPS, seeds: tuple[int, ...] = SEEDS) -> Iterator[Row]:
    """What is expected, measured."""
    for views in (6, 12):
        train = np.linspace(0, 23, views).round().astype(int).tolist()
        capture, truth, split = few(train, [i for i in range(24) if i not in train])
        capture = noisy(capture)
        arms: dict[str, tuple[Capture, tuple[Term, ...]]] = {
            "alone": (capture, ()),
            "points": (capture, (StartGuidance(),)),
            "depth": (capture, (DepthCorrelation(),)),
            "both": (capture, (StartGuidance(), DepthCorrelation())),
            "wrong depth": (shuffled(capture, split), (StartGuidance(), DepthCorrelation())),
        }
        near, far = by_distance(truth, split)
        found: dict[str, list[Quality]] = {}
        beside: dict[str, tuple[float, float]] = {}
        for name, (given, terms) in arms.items():
            recipe = replace(get_recipe("lm-gaussian"), losses=(Photometric(), *terms), steps=steps)
            scenes = [fit_gaussians(given, recipe, split, seed=seed).gaussians for seed in seeds]
            found[name] = [quality(scene, truth, split) for scene in scenes]
            near_dB, far_dB = (
                float(np.mean([quality(scene, truth, split, part).held_out for scene in scenes]))
                for part in (near, far)
            )
            beside[name] = near_dB, far_dB
        alone, both, control = (mean(found[name]) for name in ("alone", "both", "wrong depth"))
        noise = max(spread(found["alone"]), spread(found["both"]))
        told = ", ".join(f"{name} {mean(qualities).held_out:.2f}" for name, qualities in found.items())
        yield Row(
            f"{views} views: both terms gain 0.7 dB, and more than seeds differ",
            f"{told} dB; seeds differ by {noise:.2f}",
            both.held_out - alone.held_out >= max(0.7, noise),
        )
        yield Row(
            f"{views} views: depth at held-out photos is a fifth less wrong",
            f"{100 * both.depth:.1f} % with both, {100 * alone.depth:.1f} % without",
            both.depth <= 0.8 * alone.depth,
        )
        yield Row(
            f"{views} views: another photo's depth does worse than one's own",
            f"{control.held_out:.2f} dB; {both.held_out:.2f} dB",
            control.held_out < both.held_out,
        )
        gains = [beside["both"][k] - beside["alone"][k] for k in (0, 1)]
        yield Row(
            f"{views} views: photos far from those that train gain more than near ones",
            f"{gains[1]:+.2f} dB far, {gains[0]:+.2f} dB near",
            gains[1] > gains[0],
        )


def noisy(capture: Capture, seed: int = 0) -> Capture:
    """Each point of the cloud moved along its ray by ``NOISE`` of its depth, one standard deviation."""
    assert capture.cloud is not None and capture.cameras is not None
    cloud, generator = capture.cloud, torch.Generator().manual_seed(seed)
    eyes = capture.cameras.centers[cloud.photos].to(cloud.xyz)
    off = 1 + NOISE * torch.randn(len(cloud), 1, generator=generator)
    return replace(capture, cloud=replace(cloud, xyz=eyes + (cloud.xyz - eyes) * off))


def shuffled(capture: Capture, split: Split) -> Capture:
    """Each training photo with the depth of the next one."""
    photos = list(capture.photos)
    after = split.train[1:] + split.train[:1]
    for index, other in zip(split.train, after, strict=True):
        photos[index] = replace(photos[index], depth=capture.photos[other].depth)
    return replace(capture, photos=photos)


def by_distance(truth: Capture, split: Split) -> tuple[list[int], list[int]]:
    """The held-out photos, the nearer half and the farther half from training cameras."""
    assert truth.cameras is not None
    centers = truth.cameras.centers
    away = torch.cdist(centers[split.test], centers[split.train]).amin(1)
    order = [split.test[int(place)] for place in away.argsort()]
    return order[: len(order) // 2], order[len(order) // 2 :]
