"""What each setting of the default recipe is worth: fit it with one setting changed, and write the page.

    python benchmarks/default_recipe.py PHOTOS … [--views 3 6 0] [--seeds 0 1 2] [--only NAME …] …
    python benchmarks/default_recipe.py --list
    python benchmarks/default_recipe.py [--runs DIR] [--note TEXT]

PHOTOS as for ``benchmarks/results.py``. Each set at each number of training photos is one comparison below
DIR; run it again to go on, or to add sets, seeds and variants. Without PHOTOS it only writes
``docs/default-recipe.md`` from what there is. A variant is a change of the recipe as it is today: one that
would change nothing is left out, and fits that were made with other settings are made anew.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from comparisons import comparisons_below, run_sets
from default_recipe_page import differences, origin_of, settings, shown, without_words, write_page
from variants import default, variants_of

from firstlight.fitting import Recipe

DOCS = Path(__file__).resolve().parents[1] / "docs"


def list_variants(views: int, variants: dict[str, Recipe]) -> None:
    """What each would change, and where the default's settings come from."""
    told = {name: without_words(recipe.to_dict()) for name, recipe in variants.items()}
    base = told.pop("default")
    print(f"\n{views or 'all'} training photos, default of {base['steps']:,} steps")
    for name, value in settings(base).items():
        print(f"  {name:24} {shown(value)}: {origin_of(name, value)}")
    print()
    for name, recipe in told.items():
        print(f"  {name:30} {'; '.join(sorted(differences(base, recipe)))}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--views", nargs="+", type=int, default=[3, 6, 0], help="0: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="variants to fit, beside those that are begun"
    )
    parser.add_argument("--steps", type=int, help="of the default; by default its own")
    parser.add_argument("--max-size", type=int, default=640)
    parser.add_argument("--runs", type=Path, default=Path("runs/default-recipe"))
    parser.add_argument("--page", type=Path, default=DOCS / "default-recipe.md")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    parser.add_argument("--list", action="store_true", help="say what the variants would change")
    options = parser.parse_args()

    for views in options.views:
        base = default(views or None)
        base = base if options.steps is None else replace(base, steps=options.steps)
        variants = variants_of(base)
        if options.list:
            list_variants(views, variants)
            continue
        folder = options.runs / str(views or "all")
        begun = {name for comparison in comparisons_below(folder) for name in comparison.plan.recipes}
        wanted = begun | {"default", *(options.only or variants)}
        chosen = [recipe for name, recipe in variants.items() if name in wanted]
        sizes = {"views": [views or None], "max_size": options.max_size}
        for _ in run_sets(options.photos, chosen, folder, options.seeds, **sizes):
            write_page(comparisons_below(options.runs), options.page, options.note)
    found = comparisons_below(options.runs)
    if found and not options.list:
        write_page(found, options.page, options.note)
        print(options.page)


if __name__ == "__main__":
    main()
