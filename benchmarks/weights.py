"""What the start of a network is worth to a scene: LSUV against torch's own, for PointGS and CoherentGS.

    python benchmarks/weights.py PHOTOS … [--views 3] [--max-size 160] [--steps 300] [--seeds 0 1 2] …
    python benchmarks/weights.py [--runs DIR] [--note TEXT]

PHOTOS as for ``benchmarks/results.py``. Depth is firstlight's stereo. Held-out PSNR is taken at a tenth, a
third and all of the steps: a start is worth most where a fit is short. Each fit is kept below DIR; run it
again to go on where it was stopped, or to add sets and seeds. After each fit, and without PHOTOS at once,
``docs/weights.md`` is written from what there is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from comparisons import (
    Row,
    kept,
    kept_below,
    machine_line,
    mean_and_range,
    placed,
    set_name,
    table,
)

from firstlight.files.atomic import atomic_write
from firstlight.fitting import Fit, Recipe
from firstlight.geometry import densify
from firstlight.pipeline import prepare
from firstlight.recipes import get_recipe
from firstlight.representations import CoherentGs, PointGs
from firstlight.representations._weights import Weights
from firstlight.scene import Capture, Split

DOCS = Path(__file__).resolve().parents[1] / "docs"
RECIPES = ("pointgs", "coherentgs")
STARTS: tuple[Weights, ...] = get_args(Weights)
OURS: Weights = "lsuv"
LOOKS = (0.1, 1 / 3, 1.0)  # of the steps


def recipe_with(name: str, weights: Weights, steps: int) -> Recipe:
    """The recipe with networks that begin by ``weights``."""
    recipe = get_recipe(name)
    assert isinstance(recipe.representation, PointGs | CoherentGs)
    return replace(recipe, representation=replace(recipe.representation, weights=weights), steps=steps)


def course(capture: Capture, recipe: Recipe, split: Split, seed: int) -> Row:
    """Held-out PSNR at ``LOOKS``."""
    fit = Fit(capture, recipe, split.train, seed)
    fit.begin()
    seen = []
    for look in LOOKS:
        while fit.done < look * recipe.steps - 0.5:
            fit.step()
        seen.append(round(fit.probe(split.test), 4))
    return {"psnr": seen, "gaussians": len(fit.model), "held_out": len(split.test)}


def of_today(row: Row) -> bool:
    """Whether the fit was of the recipe as it is now."""
    recipe = recipe_with(row["method"], row["weights"], row["steps"])
    return recipe.has_method(row["settings"])


ABOUT = """# What the start of networks is worth

Written by `benchmarks/weights.py` from fits that it made; not edited by hand. The recipes `pointgs` and
`coherentgs` decode their Gaussians by small networks that are trained on the scene. `lsuv`: they begin by
LSUV, which brings what each layer gives for this very scene to unit variance, and the last layer is then
scaled down, so that the first Gaussians are nearly those of the start. `torch`: as torch begins layers,
uniform by their width. `torch-calm`: that, with the last layer scaled down by as much, so that the difference
to `lsuv` is what LSUV itself gives.
Everything else is the same: photos, cameras, stereo's depth, seeds. PSNR is over every 8th photo by name,
held out of training, when that share of the steps is done: mean over seeds (least … greatest)."""


def page(rows: Sequence[Row], note: str) -> str:
    """The page of all rows, one part for each effort."""
    lines = [ABOUT]
    if rows:
        lines += ["", machine_line(rows[-1])]
    lines += ["", note] if note else []
    efforts = sorted({(row["views"], row["max_size"], row["steps"]) for row in rows})
    for effort in efforts:
        mine = [row for row in rows if (row["views"], row["max_size"], row["steps"]) == effort]
        views, size, steps = effort
        lines += ["", f"## {views} training photos, {size} pixels, {steps:,} steps", ""]
        lines += [*_worths(mine), "", *_numbers(mine)]
    return "\n".join(lines) + "\n"


def _worths(rows: Sequence[Row]) -> list[str]:
    """How far LSUV is ahead, over pairs of one set and one seed."""
    by = {(row["method"], row["set"], row["seed"], row["weights"]): row["psnr"] for row in rows}
    lines = []
    for name, other in dict.fromkeys(
        (row["method"], row["weights"]) for row in rows if row["weights"] != OURS
    ):
        pairs = [
            [ours - theirs for ours, theirs in zip(by[*key, OURS], psnr, strict=True)]
            for (*key, weights), psnr in by.items()
            if weights == other and key[0] == name and (*key, OURS) in by
        ]
        if pairs:
            gains = (mean_and_range(at_look, sign="+") for at_look in zip(*pairs, strict=True))
            lines.append((name, f"{OURS} − {other}", str(len(pairs)), *gains))
    told = "Worth in dB over pairs of one set and one seed. Where the range holds 0, nothing is shown."
    return [told, "", *table(("recipe", "worth of", "pairs", *_looks()), lines, 2)] if lines else []


def _numbers(rows: Sequence[Row]) -> list[str]:
    lines = []
    for key in dict.fromkeys((row["method"], row["set"], row["weights"]) for row in rows):
        mine = [row for row in rows if (row["method"], row["set"], row["weights"]) == key]
        seeds = " ".join(str(row["seed"]) for row in mine)
        looks = (mean_and_range(at_look) for at_look in zip(*(row["psnr"] for row in mine), strict=True))
        lines.append((*key, seeds, str(mine[0]["held_out"]), f"{mine[0]['gaussians']:,}", *looks))
    head = ("recipe", "set", "networks begin by", "seeds", "held out", "Gaussians", *_looks())
    return table(head, lines, 3)


def _looks() -> list[str]:
    return [f"{look:.0%} of the steps" for look in LOOKS]


def write_page(runs: Path, file: Path, note: str) -> None:
    rows = [row for row in kept_below(runs / "fits") if of_today(row)]
    with atomic_write(file) as temporary:
        temporary.write_text(page(rows, note), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--max-size", type=int, default=160)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--runs", type=Path, default=Path("runs/weights"))
    parser.add_argument("--page", type=Path, default=DOCS / "weights.md")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    options = parser.parse_args()
    effort = {"views": options.views, "max_size": options.max_size, "steps": options.steps}
    at_hand: dict[str, tuple[Capture, Split]] = {}
    for seed in options.seeds:  # all sets get their first seed before any gets a second
        for photos in options.photos:
            name = set_name(photos)
            if name not in at_hand:
                capture = prepare(placed(photos, options.runs / name), options.max_size)
                split = capture.split(views=options.views)
                at_hand[name] = densify(capture, photos=split.train, max_size=options.max_size), split
            capture, split = at_hand[name]
            for method in options.recipes:
                for weights in STARTS:
                    recipe = recipe_with(method, weights, options.steps)
                    about: dict[str, Any] = {"method": method, "set": name, "weights": weights, "seed": seed}
                    about |= effort
                    words = "-".join(map(str, (name, method, weights, *effort.values(), seed)))
                    row = kept(
                        options.runs / "fits" / f"{words}.json", about, recipe,
                        partial(course, capture, recipe, split, seed),
                    )  # fmt: skip
                    print(f"{words}: {' '.join(f'{one:.2f}' for one in row['psnr'])} dB", flush=True)
                    write_page(options.runs, options.page, options.note)
    if not options.photos:
        write_page(options.runs, options.page, options.note)
    print(options.page)


if __name__ == "__main__":
    main()
