"""Compare all recipes on several photo sets at several numbers of photos, and write docs/results.md.

    python benchmarks/results.py PHOTOS … [--views 3 6 0] [--seeds 0 1 2] [--max-size PX] [--page PAGE] …
    python benchmarks/results.py SET/images … --poses train    # with cameras from training photos alone
    python benchmarks/results.py [--runs DIR] [--show demo …] [--title TEXT] [--note TEXT]

PHOTOS are whatever ``firstlight compare`` takes: ``demo``, folders of sets with cameras, or their ``images/``
alone, whose cameras are then found. Each set at one number of photos and one seed is one comparison below
DIR. What was measured stands beside the page, in a .json, and is not measured again on any machine while its
recipe stays what it is: run it again to go on where it was stopped, or with more sets, recipes or seeds.
Without PHOTOS it only writes the page, from that file and every comparison that there is below DIR.

The worst held-out pictures of one recipe stand at the end of the page, each with a word on why, which is
typed into ``docs/worst.json``: the script adds an entry there for each new picture. Pictures beside their
photos go to ``DIR/worst/``, and to ``docs/images/`` those of sets named by --show, whose licence allows that.
They are those of the runs below DIR alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from comparisons import comparisons_below, run_sets, set_name
from measured import joined, measured, missing, read
from measured import write as keep
from plain import KNOWN
from results_page import write_page
from worst_pictures import worst_pictures

from firstlight.comparison import Plan

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--recipes", nargs="+", choices=KNOWN, default=list(KNOWN))
    parser.add_argument("--views", nargs="+", type=int, default=[3, 6, 0], help="0: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, help="of each fit; by default each recipe's own")
    parser.add_argument("--minutes", type=float, help="of each fit, instead of steps")
    parser.add_argument("--max-size", type=int, default=640)
    parser.add_argument("--poses", choices=["all", "train"], default="all", help="as for firstlight compare")
    parser.add_argument("--runs", type=Path, default=Path("runs/results"))
    parser.add_argument("--page", type=Path, default=DOCS / "results.md")
    parser.add_argument("--worst-of", default="default", metavar="RECIPE", help="none: leave them out")
    parser.add_argument("--show", nargs="*", default=["demo"], help="sets whose photos may be published")
    parser.add_argument("--title", default="Results", help="of the page")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    options = parser.parse_args()

    file = options.page.with_suffix(".json")

    failed: dict[str, str] = {}

    def write() -> None:
        found = comparisons_below(options.runs)
        sets = joined(read(file), [one for each in found if (one := measured(each)) is not None])
        if not sets:
            return
        keep(sets, file)
        worst = worst_pictures(found, options.worst_of, options.page, options.show)
        write_page(sets, options.page, failed, options.note, worst, options.title)

    write()
    budget = {name: getattr(options, name) for name in ("steps", "minutes", "max_size", "poses")}
    for seed in options.seeds:  # all sets get their first seed before any gets a second
        for photos in options.photos:
            for views in options.views:
                one = {"views": (views or None,), "seeds": (seed,), **budget}
                plan = Plan(set_name(photos, options.poses), tuple(options.recipes), **one)
                recipes = [KNOWN[name] for name in missing(read(file), plan)]
                words = "-".join(map(str, (views or "all", seed, *filter(None, budget.values()))))
                for more in run_sets([photos], recipes, options.runs / words, **one) if recipes else ():
                    failed |= more
                    write()
    print(options.page)


if __name__ == "__main__":
    main()
