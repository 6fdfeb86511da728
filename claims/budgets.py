"""Budgets: ``--max-gaussians`` is met exactly by ``taming``, and passed by no recipe at any step.

Every recipe, with two budgets: 50,000, and one of 2,000 that most of them would pass by themselves. Six
photos of the demo at 96 pixels (books of ``claims/objects`` for ``sgpose``, which needs outlines), 900
steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from claims._bench import Bench, Effort, Trials, benches
from claims.runner import Row, judged
from claims.sgpose import read
from firstlight.fitting import Fit, Recipe
from firstlight.recipes import RECIPES
from firstlight.scene import Split

BUDGETS = (50_000, 2000)

EFFORT = Effort(size=96, steps=900, sets=("demo",))


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, photos = Trials("budgets", effort), benches(effort, 6)[0]
    books = read("books", "train").resized(effort.size)
    outlined = Bench("books", books, Split(list(range(len(books))), []))
    for budget in BUDGETS:
        counts: dict[str, list[list[float]]] = {}
        for name in RECIPES:
            bench = outlined if name == "sgpose" else photos
            recipe = RECIPES[name].for_photos(len(bench.split.train)).limited(budget)
            seeds = effort.seeds if name == "taming" else effort.seeds[:1]
            counts[name] = [
                trials.values(
                    f"{name}, {budget}, seed {seed}",
                    partial(counted, bench, replace(recipe, steps=effort.steps), seed),
                )
                for seed in seeds
            ]
        ends = [int(end) for _, end in counts["taming"]]
        yield Row(
            f"with a budget of {budget:,}, taming ends with exactly that many",
            ", ".join(f"{end:,}" for end in ends),
            judged([all(end == budget for end in ends)]),
        )
        most = {name: int(max(peak for peak, _ in each)) for name, each in counts.items()}
        yield Row(
            f"with a budget of {budget:,}, no recipe has more at any step",
            "the most at any step: " + ", ".join(f"{name} {peak:,}" for name, peak in most.items()),
            judged([all(peak <= budget for peak in most.values())]),
        )
    trials.settled()


def counted(bench: Bench, recipe: Recipe, seed: int) -> tuple[int, int]:
    """The most Gaussians at any step, and how many there are in the end."""
    capture = bench.capture if recipe.geometry is None else bench.with_geometry(recipe.geometry)[0]
    fit = Fit(capture, recipe, bench.split.train, seed)
    fit.begin()
    most = len(fit.model)
    while fit.done < recipe.steps:
        fit.step()
        most = max(most, len(fit.model))
    return most, len(fit.model)
