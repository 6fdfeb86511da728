"""Seconds from photos alone to cameras and dense points, after imports.

    python benchmarks/photos_to_points.py SETS NAME:PHOTOS …

SETS holds one folder a set, with reference cameras, by which photos are chosen as in ``poses.py``; cameras
are then found without them. The first set is measured twice, as kernels may have to be compiled.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from firstlight.geometry import find_geometry
from firstlight.pipeline import prepare
from firstlight.poses import estimate
from poses import load_set


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="+", metavar="NAME:PHOTOS")
    options = parser.parse_args()
    for wanted in [options.sets[0], *options.sets]:
        name, count = wanted.split(":")
        photos = replace(load_set(options.folder / name, int(count)), cameras=None)
        began = time.perf_counter()
        placed = estimate(photos).capture
        posed = time.perf_counter()
        found = find_geometry(prepare(placed, 1008), max_size=504)
        ended = time.perf_counter()
        print(
            f"{name} {count}: {len(placed)} of {len(photos)} placed, {posed - began:.1f} s for cameras, "
            f"{ended - posed:.1f} s for {len(found.cloud):,} points, {ended - began:.1f} s in all",
            flush=True,
        )


if __name__ == "__main__":
    main()
