"""CoherentGS: Sparse Novel View Synthesis with Coherent 3D Gaussians (Paliwal et al. 2024).

Three photos, 160 pixels, 400 steps. All arms begin with the same 10,000 pixels' Gaussians at the depth of
firstlight's stereo: free ones; depths and opacities of the pixels' own that move on rays, with total
variation (TV); the decoder alone, with TV, with flow, with both, and with torch's own start of the
networks in the place of LSUV. The paper's monocular depth, flow network and data sets are not used, so
its own figures are not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from claims._bench import Effort, Trials, ahead, all_fits, benches, expect, for_the_record
from claims.runner import Row
from firstlight.fitting import Recipe
from firstlight.recipes import get_recipe
from firstlight.representations import CoherentGs
from firstlight.starts import PixelStart

EFFORT = Effort(steps=400, sets=("demo", "llff-fern"))
VIEWS, PIXELS = 3, 10_000


def arms(steps: int) -> dict[str, Recipe]:
    """The same start, losses and photos; what differs is what moves and what holds it."""
    whole = CoherentGs(most=PIXELS)
    recipe = replace(get_recipe("coherentgs"), start=PixelStart(PIXELS), representation=whole, steps=steps)
    variants = {
        "TV without decoder": replace(whole, decoded=False, flow=0.0),
        "decoder": replace(whole, smooth=0.0, flow=0.0),
        "decoder, TV": replace(whole, flow=0.0),
        "decoder, flow": replace(whole, smooth=0.0),
        "all": whole,
        "torch's start": replace(whole, weights="torch"),
    }
    decoded = {name: replace(recipe, representation=variant) for name, variant in variants.items()}
    return {"free": replace(recipe, representation=None), **decoded}


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials = Trials("coherentgs", effort)
    found = all_fits(trials, benches(effort, VIEWS), arms(effort.steps))
    yield expect(
        "three photos: with all its parts it ends at least 1.5 dB above free Gaussians from the same start",
        ahead(found["all"], found["free"]),
        1.5,
    )
    yield expect(
        "the decoder is worth at least 0.2 dB over TV alone",
        ahead(found["decoder, TV"], found["TV without decoder"]),
        0.2,
    )
    yield expect("TV adds to the decoder", ahead(found["decoder, TV"], found["decoder"]), 0.0)
    yield expect("flow adds to the decoder", ahead(found["decoder, flow"], found["decoder"]), 0.0)
    yield expect(
        "decoders that begin by LSUV end above those that begin torch's own way",
        ahead(found["all"], found["torch's start"]),
        0.0,
    )
    yield for_the_record(found)
    trials.settled()
