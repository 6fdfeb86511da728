"""LM-Gaussian (Yu et al. 2024): a dense start, held to its own points and to depth, from few photos around.

6 and 12 training photos, 160 pixels, 1,000 steps, the recipe `lm-gaussian`. The dense start is firstlight's
stereo from the training photos, each point moved along its ray by 5 % of its distance at random, as a
network's would be. The start alone; with its points as a guide between photos; with the correlation of
depth; with both. How wrong depth is at held-out photos is known on the demo alone. Diffusion has no part in
this: its weights are not at hand, so what the paper is known for is not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import fmean

import torch

from claims._bench import Effort, Trials, benches, expect
from claims._few_views import gain, less_wrong, sights
from claims.runner import Row
from firstlight.fitting import DepthCorrelation, Photometric, StartGuidance
from firstlight.scene import Capture, Gaussians
from firstlight.starts import InstantStart
from firstlight.starts.dense import dense_cloud

EFFORT = Effort(sets=("demo", "fox"))


@dataclass(frozen=True)
class NoisyStart(InstantStart):
    """Each point of the cloud elsewhere on its ray."""

    noise: float = 0.05  # of the distance, standard deviation

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        cloud, cameras = dense_cloud(capture), capture.cameras
        assert cameras is not None
        centers = cameras.centers.float()[cloud.photos]
        off = 1 + self.noise * torch.randn(len(cloud), 1, generator=generator)
        moved = replace(cloud, xyz=centers + (cloud.xyz - centers) * off)
        return super().__call__(replace(capture, cloud=moved), generator)


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials = Trials("lm_gaussian", effort)
    recipe = replace(effort.recipe("lm-gaussian"), start=NoisyStart())
    arms = {
        "alone": replace(recipe, losses=(Photometric(),)),
        "points": replace(recipe, losses=(Photometric(), StartGuidance())),
        "depth": replace(recipe, losses=(Photometric(), DepthCorrelation())),
        "both": replace(recipe, losses=(Photometric(), StartGuidance(), DepthCorrelation())),
    }
    for views in (6, 12):
        found = sights(trials, benches(effort, views), arms)
        both, alone = found["both"], found["alone"]
        yield expect(f"{views} views: both terms gain 0.7 dB over the start alone", gain(both, alone), 0.7)
        yield expect(
            f"{views} views: depth at held-out photos is 20 % less wrong", less_wrong(both, alone), 20, "%", 0
        )
        told = "; ".join(
            f"{arm}: "
            + ", ".join(f"{name} {fmean(one.psnr for one in fits):.2f}" for name, fits in each.items())
            for arm, each in found.items()
        )
        yield Row(f"{views} views: held-out PSNR, for the record", told, "")
    trials.settled()
