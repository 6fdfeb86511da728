"""Peak memory of a whole run: many photos at full size, many Gaussians.

    python benchmarks/memory.py PHOTOS [--max-size 1008] [--gaussians 200000] [--steps 100]

The Gaussians start at random and stay as many; every photo trains, so all of them are decoded and kept.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from firstlight import pipeline
from firstlight.density import Fixed
from firstlight.recipes import get_recipe
from firstlight.starts import RandomBox


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--max-size", type=int, default=1008)
    parser.add_argument("--gaussians", type=int, default=200_000)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    recipe = replace(
        get_recipe("default"),
        name="memory",
        start=RandomBox(options.gaussians),
        density=Fixed(),
        pictures=((0.0, 1.0),),
        sh_every=0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = pipeline.fit(
            options.photos,
            recipe,
            out=Path(folder) / "run",
            steps=options.steps,
            max_size=options.max_size,
            hold_out="none",
        )
        trained = len(run.about["split"]["train"])
        size = (run.about["per_photo"][0]["width"], run.about["per_photo"][0]["height"])
        print(
            f"{trained} photos of {size[0]}×{size[1]}, {run.summary['gaussians']:,} Gaussians, "
            f"{run.summary['peak_memory_mb']:.0f} MB at the peak"
        )


if __name__ == "__main__":
    main()
