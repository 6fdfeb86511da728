"""Does Gaussian Splatting need SFM Initialization? (Foroutan et al. 2024): ``random`` and ``nerf-distill``.

Up to 24 photos at 160 pixels, 1,000 steps; every start has as many Gaussians as there are sparse points.
The radiance field's seconds are part of the fit's. MCMC from random points is in the claim ``mcmc``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from claims._bench import Effort, Measured, Trials, ahead, benches, expect, for_the_record, told
from claims.runner import Row
from firstlight.fitting import Photometric
from firstlight.starts import CloudStart, RandomBox, SfmPoints
from firstlight.starts.sfm_points import usable

EFFORT = Effort(sets=("demo", "fox"))


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, sets = Trials("need_sfm", effort), benches(effort, 24)
    vanilla, distilled = effort.recipe("vanilla"), effort.recipe("nerf-distill")
    found: dict[str, dict[str, list[Measured]]] = {}
    for bench in sets:
        seen = bench.capture.select(bench.split.train)
        assert seen.points is not None
        assert seen.cameras is not None
        count = int(usable(seen.points, seen.cameras, SfmPoints().max_error).sum())
        field = replace(distilled, start=CloudStart(count))
        arms = {
            "small box": replace(vanilla, start=RandomBox(count, radius=1.0)),
            "large box": replace(vanilla, start=RandomBox(count, radius=3.0)),
            "sparse points": replace(vanilla, start=SfmPoints()),
            "field points": replace(field, losses=(Photometric(),)),
            "field points and depth": field,
        }
        for arm, recipe in arms.items():
            found.setdefault(arm, {})[bench.name] = trials.fits(bench, arm, recipe)
    yield expect(
        "random points in a large box are at least 0.5 dB above those in a small one",
        ahead(found["large box"], found["small box"]),
        0.5,
    )
    yield expect(
        "points and depth of the field are at most 0.3 dB below sparse points",
        ahead(found["field points and depth"], found["sparse points"]),
        -0.3,
    )
    yield expect(
        "the field's depth is worth at least 0.1 dB beside its points",
        ahead(found["field points and depth"], found["field points"]),
        0.1,
    )
    seconds = told(found["field points and depth"], lambda fit: fit.seconds, 0)
    yield for_the_record(found, f"seconds with field and depth: {seconds}")
    trials.settled()
