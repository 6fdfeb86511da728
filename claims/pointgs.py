"""PointGS: Point Attention-Aware Sparse View Synthesis with Gaussian Splatting (2025).

Three photos, 160 pixels, 500 steps. In all arms the same 4,000 points of firstlight's stereo: each
Gaussian's own numbers, at the default recipe's raised rates, without and with a penalty on how far they
are from their neighbours'; the recipe `pointgs` without and with attention, and with torch's own start of
the networks in the place of LSUV. The paper's VGGT and its data sets are not used, so its own figures are
not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from claims._bench import Effort, Measured, Trials, ahead, all_fits, benches, expect, for_the_record
from claims.runner import Row
from firstlight.fitting import Photometric, Recipe, View
from firstlight.recipes import get_recipe
from firstlight.recipes.rates import SHORT
from firstlight.representations import PointGs
from firstlight.scene.neighbours import nearest
from firstlight.starts import EdgsStart

EFFORT = Effort(steps=500, sets=("demo", "llff-fern"))
VIEWS, POINTS = 3, 4000


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
        loss = view.alpha.new_zeros(())
        for part in (gaussians.log_scales, gaussians.logit_opacities[:, None], gaussians.sh[:, 0]):
            loss = loss + (part - part[around].mean(1)).abs().mean()
        return self.weight * loss


def arms(steps: int) -> dict[str, Recipe]:
    """The same start and photos; what differs is what is optimised."""
    network = replace(get_recipe("pointgs"), start=EdgsStart(POINTS), steps=steps)
    free = replace(network, representation=None, rates=SHORT)
    return {
        "free": free,
        "free, like neighbours": replace(free, losses=(Photometric(), LikeNeighbours())),
        "without attention": replace(network, representation=PointGs(attention=False)),
        "attention": network,
        "torch's start": replace(network, representation=PointGs(weights="torch")),
    }


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials = Trials("pointgs", effort)
    found = all_fits(trials, benches(effort, VIEWS), arms(effort.steps))
    whole, free = found["attention"], found["free"]
    yield expect(
        "three photos: decoded with attention it ends at least 0.5 dB above free Gaussians at the points",
        ahead(whole, free),
        0.5,
    )
    yield expect(
        "it memorises less: training and held-out photos are nearer to each other than with free Gaussians",
        ahead(free, whole, gap),
        0.0,
    )
    yield expect(
        "attention is worth at least 0.1 dB over points that stand alone",
        ahead(whole, found["without attention"]),
        0.1,
    )
    yield expect(
        "a penalty on differences between free neighbours does not do as well, by 0.1 dB",
        ahead(whole, found["free, like neighbours"]),
        0.1,
    )
    yield expect(
        "networks that begin by LSUV end above those that begin torch's own way",
        ahead(whole, found["torch's start"]),
        0.0,
    )
    yield for_the_record(found)
    trials.settled()


def gap(fit: Measured) -> float:
    return fit.train_psnr - fit.psnr
