"""Compare all recipes on several photo sets at several numbers of photos, and write docs/results.md.

    python benchmarks/results.py PHOTOS … [--views 3 6 0] [--seeds 0 1 2] [--max-size PX] [--runs DIR] …
    python benchmarks/results.py SET/images … --poses train    # with cameras from training photos alone
    python benchmarks/results.py [--runs DIR] [--show demo …] [--note TEXT]

PHOTOS are whatever ``firstlight compare`` takes: ``demo``, folders of sets with cameras, or their ``images/``
alone, whose cameras are then found. Each set is one comparison below DIR. Run it again to go on where it was
stopped, or with more sets, recipes or seeds; without PHOTOS it only writes the page, from every comparison
that there is below DIR, finished or not.

The worst held-out pictures of one recipe stand at the end of the page, each with a word on why, which is
typed into ``docs/worst.json``: the script adds an entry there for each new picture. Pictures beside their
photos go to ``DIR/worst/``, and to ``docs/images/`` those of sets named by --show, whose licence allows that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from comparisons import comparisons_below, run_sets
from results_page import write_page

from firstlight.recipes import RECIPES, get_recipe

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--views", nargs="+", type=int, default=[3, 6, 0], help="0: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, help="of each fit; by default each recipe's own")
    parser.add_argument("--minutes", type=float, help="of each fit, instead of steps")
    parser.add_argument("--max-size", type=int, default=640)
    parser.add_argument("--poses", choices=["all", "train"], default="all", help="as for firstlight compare")
    parser.add_argument("--runs", type=Path, default=Path("runs/results"))
    parser.add_argument("--page", type=Path, default=DOCS / "results.md")
    parser.add_argument("--worst-of", default="default", metavar="RECIPE")
    parser.add_argument("--show", nargs="*", default=["demo"], help="sets whose photos may be published")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    options = parser.parse_args()

    def write(failed: dict[str, str]) -> None:
        found = comparisons_below(options.runs)
        if found:
            write_page(found, options.page, failed, options.note, options.worst_of, options.show)

    if not options.photos:
        write({})
    rounds = run_sets(
        options.photos,
        [get_recipe(name) for name in options.recipes],
        options.runs,
        options.seeds,
        views=[views or None for views in options.views],
        steps=options.steps,
        minutes=options.minutes,
        max_size=options.max_size,
        poses=options.poses,
    )
    for failed in rounds:
        write(failed)
    print(options.page)


if __name__ == "__main__":
    main()
