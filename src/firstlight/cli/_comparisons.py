"""Commands that make many runs, and a page of what came out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from firstlight.errors import InputError
from firstlight.progress import Terminal


def compare(
    photos: Annotated[Positional[str], arg(metavar="PHOTOS")],
    recipes: tuple[str, ...] = (),
    views: tuple[int, ...] = (),
    seeds: tuple[int, ...] = (0,),
    steps: int | None = None,
    minutes: float | None = None,
    max_size: int = 640,
    hold_out: Literal["every8"] = "every8",
    poses: Literal["all", "train"] = "all",
    matcher: Literal["sift", "xfeat", "aliked", "disk", "sift+aliked"] = "sift",
    out: Path | None = None,
) -> int:
    """Fit several recipes to the same photos and put them into one table.

    With the same --out it goes on where it was stopped, and grows by recipes, views and seeds. A recipe that
    needs what these photos have not, such as masks, is skipped: a line that says so. Where one fails, the
    status is 1.

    Args:
        photos: As for 'firstlight fit'.
        recipes: Names from 'firstlight recipes'; by default all.
        views: Numbers of training photos, 0 for all; by default all.
        seeds: Each recipe is fitted once with each.
        steps: Of each fit, instead of the recipe's own.
        minutes: Of each run, instead of steps: its geometry, its fit and its numbers, but not the cameras.
        max_size: Long side of the photos, in pixels; larger ones are shrunk.
        hold_out: Photos kept out of training to measure with.
        poses: Find cameras once from all photos, or for each number of views from its training photos alone,
            as for 'firstlight fit'.
        matcher: As for 'firstlight fit'.
        out: Folder for compare.html, compare.json and the runs. By default a new one under runs/.
    """
    from firstlight.comparison import compare as fit_and_compare
    from firstlight.recipes import RECIPES

    found = fit_and_compare(
        photos,
        recipes or tuple(RECIPES),
        views=tuple(n or None for n in views) or (None,),
        seeds=seeds,
        steps=steps,
        minutes=minutes,
        max_size=max_size,
        hold_out=hold_out,
        poses=poses,
        matcher=matcher,
        out=out,
        progress=Terminal(),
    )
    console = Console()
    console.print(found.table(console.width))
    print(f"page  {found.page}")
    failed = any(row.failures for row in found.rows)
    return 0 if any(row.numbers for row in found.rows) and not failed else 1


def claims(
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="[NAME …]")] = (), all: bool = False
) -> int:
    """Measure again what papers claim, and write docs/claims.md; needs a checkout of firstlight.

    Without a name it only writes the page, from what has been measured.

    Args:
        names: Of scripts in claims/ to measure anew.
        all: Also measure those that have not been measured yet.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / "claims" / "runner.py").is_file():
        raise InputError(
            "The claims are not installed with firstlight: run this in a checkout of its source."
        )
    sys.path.insert(0, str(root))
    from claims.runner import run_claims, unmeasured, write_page

    hold = run_claims([*names, *(name for name in unmeasured() if all and name not in names)])
    write_page()
    return 0 if hold else 1
