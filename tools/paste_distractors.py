"""Paste pieces of real photos into photos, as people who walk through a scene would stand there.

    python tools/paste_distractors.py PHOTOS FROM OUT [--share 0.4] [--area 0.15] [--seed 0]

Pieces of random outline are cut from the photos of the folder FROM and pasted into some of those of PHOTOS.
OUT gets ``images/``, all of them under their names as PNGs, and ``distractors/``, white where something was
pasted. The same arguments give the same pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from firstlight.capture import load
from firstlight.evaluate import with_distractors

SOURCE_SIZE = 480  # pixels of the long side


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("sources", metavar="from", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.4, help="of the photos that get one")
    parser.add_argument("--area", type=float, default=0.15, help="of a photo that it covers")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made, where = with_distractors(
        load(options.photos),
        [photo.decode().rgb for photo in load(options.sources).resized(SOURCE_SIZE).photos],
        share=options.share,
        area=options.area,
        seed=options.seed,
    )
    for photo, covered in zip(made.photos, where, strict=True):
        name = Path(photo.name).with_suffix(".png")
        for folder, pixels in (
            ("images", photo.decode().rgb),
            ("distractors", covered.astype(np.uint8) * 255),
        ):
            path = options.out / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    print(f"{sum(covered.any() for covered in where)} of {len(where)} photos changed, in {options.out}")


if __name__ == "__main__":
    main()
