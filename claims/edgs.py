"""EDGS: Eliminating Densification for Efficient Convergence of 3DGS (Kotovenko et al. 2025).

All training photos, 160 pixels. Vanilla takes 1,500 steps and grows to as many as it wants; EDGS gets
half of vanilla's final count, at vanilla's steps and at a quarter of them. Its matches are firstlight's
stereo, whose seconds count. As a control, the same points with their distances along the rays shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import fmean

import torch

from claims._bench import Effort, Trials, ahead, benches, expect, for_the_record
from claims.runner import Row, judged
from firstlight.recipes import get_recipe
from firstlight.scene import Capture, Gaussians
from firstlight.starts import EdgsStart

EFFORT = Effort(steps=1500, sets=("demo", "fox"))


@dataclass(frozen=True)
class Shuffled(EdgsStart):
    """The control: each point at the distance of another one."""

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        cloud, cameras = capture.cloud, capture.cameras
        assert cloud is not None
        assert cameras is not None
        centers = cameras.centers.float()[cloud.photos]
        rays = cloud.xyz - centers
        distances = rays.norm(dim=-1, keepdim=True)
        others = distances[torch.randperm(len(cloud), generator=generator)]
        moved = replace(
            cloud, xyz=centers + rays / distances * others, widths=cloud.widths * (others / distances)[:, 0]
        )
        return super().__call__(replace(capture, cloud=moved), generator)


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, sets = Trials("edgs", effort), benches(effort, None)
    vanilla, edgs = (replace(get_recipe(name), steps=effort.steps) for name in ("vanilla", "edgs"))
    found = {"vanilla": {bench.name: trials.fits(bench, "vanilla", vanilla) for bench in sets}}
    half = {name: round(fmean(fit.gaussians for fit in fits) / 2) for name, fits in found["vanilla"].items()}
    quarter = effort.steps // 4
    for arm, start, steps in (
        ("quarter", EdgsStart, quarter),
        ("whole", EdgsStart, effort.steps),
        ("shuffled", Shuffled, quarter),
    ):
        found[arm] = {
            bench.name: trials.fits(
                bench, arm, replace(edgs, start=start(count=half[bench.name]), steps=steps)
            )
            for bench in sets
        }
    splats = "; ".join(f"{name} {count:,} splats or fewer" for name, count in half.items())
    row = expect(
        "in a quarter of vanilla's steps, with half of its splats, it reaches vanilla's final PSNR",
        ahead(found["quarter"], found["vanilla"]),
        0.0,
    )
    yield replace(row, measured=f"ahead of vanilla by {row.measured} ({splats})")
    share = {
        name: [a.seconds / b.seconds for a, b in zip(fits, found["vanilla"][name], strict=True)]
        for name, fits in found["quarter"].items()
    }
    behind = ahead(found["quarter"], found["vanilla"])
    yield Row(
        "with the matching counted it takes at most a quarter of vanilla's time to within 0.3 dB of it",
        "; ".join(f"{name} {fmean(values):.0%} of the time" for name, values in share.items()),
        judged([fmean(share[name]) <= 0.25 and fmean(behind[name]) >= -0.3 for name in share]),
    )
    yield expect(
        "with vanilla's steps and half of its splats it ends above it",
        ahead(found["whole"], found["vanilla"]),
        0.0,
    )
    yield expect(
        "it is the matches that do it: shuffled, a quarter of the steps end at least 1 dB lower",
        ahead(found["quarter"], found["shuffled"]),
        1.0,
    )
    yield for_the_record(found)
    trials.settled()
