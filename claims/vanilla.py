"""3D Gaussian Splatting for Real-Time Radiance Field Rendering (Kerbl et al. 2023).

160 pixels, 1,000 steps, at most 10,000 Gaussians. That the renderer and its gradients are right is the
tests' affair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from claims._bench import Effort, Measured, Trials, ahead, benches, expect, for_the_record
from claims.runner import Row
from firstlight.density import Fixed
from firstlight.starts import SfmPoints

EFFORT = Effort()


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, vanilla = Trials("vanilla", effort), effort.recipe("vanilla")
    few, many = benches(effort, 3), benches(effort, 24)
    sparse = replace(vanilla, start=SfmPoints(max_points=500))
    found = {
        "3 photos": {bench.name: trials.fits(bench, "vanilla", vanilla) for bench in few},
        "up to 24": {bench.name: trials.fits(bench, "vanilla", vanilla) for bench in many},
        "from 500 points": {bench.name: trials.fits(bench, "from 500 points", sparse) for bench in many},
        "from 500, no growth": {
            bench.name: trials.fits(bench, "no growth", replace(sparse, density=Fixed())) for bench in many
        },
    }

    def learned_by_heart(fit: Measured) -> float:
        return fit.train_psnr - fit.psnr

    yield expect(
        "training photos are ahead of held-out ones by 5 dB more with 3 photos than with up to 24",
        ahead(found["3 photos"], found["up to 24"], learned_by_heart),
        5.0,
    )
    yield expect(
        "from 500 points, growth is worth at least 1 dB",
        ahead(found["from 500 points"], found["from 500, no growth"]),
        1.0,
    )
    yield for_the_record(found)
    trials.settled()
