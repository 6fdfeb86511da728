"""PointGS (arXiv 2506.10335): Gaussians decoded from image features and neighbours overfit few views less.

The demo at 128 pixels with its exact cameras, 3 photos over some 70°, six between them held out; points are
firstlight's stereo, 3,000 of them, in all arms alike: each Gaussian's own numbers, without and with a
penalty on how far they are from their neighbours'; the recipe `pointgs` without and with attention, and
with torch's own way to begin in the place of LSUV. 500 steps, three seeds. The paper's VGGT and its data
sets are not used, so its own figures are not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from claims._few_views import SEEDS, Quality, few, mean, quality, spread
from claims.runner import Row
from firstlight.density import Fixed
from firstlight.fitting import Photometric, Recipe, View, fit_gaussians
from firstlight.recipes import get_recipe
from firstlight.recipes.default import RATES
from firstlight.representations import PointGs
from firstlight.scene.neighbours import nearest
from firstlight.starts import EdgsStart

TRAIN, TEST = (6, 11, 16), (8, 9, 10, 12, 13, 14)
STEPS, POINTS = 500, 3000


@dataclass(frozen=True)
class LikeNeighbours:
    """weight · mean difference of size, opacity and colour from the mean of the nearest centres."""

    weight: float = 0.02
    neighbours: int = 8
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        gaussians = view.gaussians
        if "like.around" not in view.memory:
            view.memory["like.around"] = nearest(gaussians.means, self.neighbours)
        around = view.memory["like.around"]
        parts = (gaussians.log_scales, gaussians.logit_opacities[:, None], gaussians.sh[:, 0])
        total: Tensor = sum((p - p[around].mean(1)).abs().mean() for p in parts)  # type: ignore[assignment]
        return self.weight * total


def arms() -> dict[str, Recipe]:
    """The same start and photos; what differs is what is optimised."""
    network = replace(get_recipe("pointgs"), start=EdgsStart(POINTS))
    # Free Gaussians at the raised rates of the default recipe: at the paper's they would not move in time.
    free = replace(network, representation=None, density=Fixed(), rates=RATES)
    return {
        "free": free,
        "free, like neighbours": replace(free, losses=(Photometric(), LikeNeighbours())),
        "no attention": replace(network, representation=PointGs(attention=False)),
        "attention": network,
        "attention, torch's start": replace(network, representation=PointGs(weights="torch")),
    }


def claim(steps: int = STEPS, seeds: tuple[int, ...] = SEEDS) -> Iterator[Row]:
    """What is expected, measured."""
    capture, truth, split = few(TRAIN, TEST)
    found: dict[str, list[Quality]] = {}
    for name, arm in arms().items():
        recipe = replace(arm, steps=steps)
        scenes = [fit_gaussians(capture, recipe, split, seed=seed).gaussians for seed in seeds]
        found[name] = [quality(scene, truth, split) for scene in scenes]
    told = ", ".join(f"{name} {mean(qualities).held_out:.2f}" for name, qualities in found.items())
    whole, free = mean(found["attention"]), mean(found["free"])
    noise = max(spread(qualities) for qualities in found.values())
    yield Row(
        "decoding with attention gains 0.5 dB over free Gaussians, and more than seeds differ",
        f"{told} dB; seeds differ by up to {noise:.2f}",
        whole.held_out - free.held_out >= max(0.5, noise),
    )
    gaps = [one.train - one.held_out for one in (whole, free)]
    yield Row(
        "training and held-out photos differ less",
        f"{gaps[0]:.2f} dB with attention, {gaps[1]:.2f} dB free",
        gaps[0] < gaps[1],
    )
    alone = mean(found["no attention"])
    yield Row(
        "attention is worth 0.1 dB, and more than seeds differ",
        f"{whole.held_out - alone.held_out:+.2f} dB",
        whole.held_out - alone.held_out >= max(0.1, spread(found["attention"])),
    )
    smooth = mean(found["free, like neighbours"])
    yield Row(
        "a penalty on neighbours' differences does not do as well",
        f"{smooth.held_out:.2f} dB with the penalty, {whole.held_out:.2f} dB with attention",
        smooth.held_out < whole.held_out - 0.1,
    )
    plain = mean(found["attention, torch's start"])
    yield Row(
        "LSUV is worth more than seeds differ over torch's own start of the networks",
        f"{whole.held_out - plain.held_out:+.2f} dB held out",
        whole.held_out - plain.held_out > spread(found["attention"]),
    )
