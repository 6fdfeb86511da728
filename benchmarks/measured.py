"""What was measured of comparisons, in one file beside a page: it outlives the runs, and grows from several.

A page of many sets takes hours, and its runs are many gigabytes that stay where they were made. What its
tables need is small: ``docs/NAME.json`` beside ``docs/NAME.md``. It keeps how each recipe was described when
it was fitted, so that numbers of yesterday's settings are left out.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from comparisons import name_of, run_of, without_paths
from plain import KNOWN

from firstlight.comparison import Comparison, Plan, Row, Spread, Trial, plan_of
from firstlight.files import atomic_write

Method = dict[str, Any]  # a recipe's description, as run.json has it


@dataclass(frozen=True)
class Measured:
    """One photo set at one budget: what is left of its comparisons when their runs are gone."""

    name: str  # of the set
    plan: Plan  # what all trials shared; photos: the set's name
    cameras: str  # where they came from
    trained: int  # photos at most
    held_out: int
    size: str  # of a photo, in pixels
    machine: dict[str, Any]
    versions: dict[str, str]
    rows: list[Row]
    methods: dict[tuple[str, int | None], Method]  # of each row that has numbers

    def has(self, trial: Trial) -> bool:
        """Whether there is a number, or a reason why there is none."""
        mine = [row for row in self.rows if (row.recipe, row.views) == (trial.recipe, trial.views)]
        return any(row.skipped or trial in row.trials for row in mine)

    def joined(self, newer: Measured) -> Measured:
        """With all of ``newer``, which wins where both have a number."""
        rows = {(row.recipe, row.views): row for row in self.rows}
        for row in newer.rows:
            old = rows.get((row.recipe, row.views))
            rows[row.recipe, row.views] = row if old is None else _joined(old, row)
        plan = replace(
            newer.plan,
            recipes=tuple(dict.fromkeys((*self.plan.recipes, *newer.plan.recipes))),
            views=tuple(sorted({*self.plan.views, *newer.plan.views}, key=lambda views: views or 10**9)),
            seeds=tuple(sorted({*self.plan.seeds, *newer.plan.seeds})),
        )
        most = max(self.trained, newer.trained)
        methods = self.methods | newer.methods
        return replace(newer, plan=plan, rows=list(rows.values()), methods=methods, trained=most)


def measured(comparison: Comparison) -> Measured | None:
    """What ``comparison`` came to; None when none of its trials is finished."""
    plan = comparison.plan
    firsts = {
        (row.recipe, row.views): run_of(comparison, row.trials[0]) for row in comparison.rows if row.trials
    }
    if not firsts:
        return None
    most = max(firsts.values(), key=lambda run: len(run.about["split"]["train"]))
    rows = [
        replace(
            row,
            failures=tuple(without_paths(why, plan.photos, comparison.folder) for why in row.failures),
            skipped=tuple(without_paths(why, plan.photos, comparison.folder) for why in row.skipped),
        )
        for row in comparison.rows
        if row.numbers or row.failures or row.skipped
    ]
    name = name_of(comparison)
    return Measured(
        name,
        replace(plan, photos=name),
        comparison.cameras() if plan.poses == "all" else "found from training photos alone",
        len(most.about["split"]["train"]),
        len(most.about["split"]["test"]),
        "{width}×{height}".format(**most.about["per_photo"][0]),
        most.about["machine"],
        most.about["versions"],
        rows,
        {key: run.about["recipe"] for key, run in firsts.items()},
    )


def joined(sets: Sequence[Measured], more: Sequence[Measured]) -> list[Measured]:
    """Of both, those of one set at one budget as one, by name."""
    found = {_shared(one.plan): one for one in sets}
    for one in more:
        before = found.get(_shared(one.plan))
        found[_shared(one.plan)] = before.joined(one) if before is not None else one
    return sorted(found.values(), key=lambda one: one.name)


def missing(sets: Sequence[Measured], plan: Plan) -> list[str]:
    """Recipes of ``plan``, whose photos are a set's name, that lack one of its trials."""
    found = next((one for one in sets if _shared(one.plan) == _shared(plan)), None)
    trials = [trial for trials in plan.rounds() for trial in trials]
    lacking = {trial.recipe for trial in trials if found is None or not found.has(trial)}
    return [name for name in plan.recipes if name in lacking]


def read(file: Path) -> list[Measured]:
    """What ``write`` kept, of recipes as they are today; [] where there is no such file."""
    if not file.is_file():
        return []
    stored = json.loads(file.read_text("utf-8"))
    return [_of_today(_set(one, stored["methods"])) for one in stored["sets"]]


def write(sets: Sequence[Measured], file: Path) -> None:
    """Keep them; descriptions, which many rows share, stand once."""
    methods: dict[str, Method] = {}
    content = {"sets": [_plain(one, methods) for one in sets], "methods": methods}
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(content, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")


def _shared(plan: Plan) -> tuple[Any, ...]:
    """What numbers of one column have in common."""
    return plan.photos, plan.steps, plan.minutes, plan.max_size, plan.hold_out, plan.matcher, plan.poses


def _by_seed(row: Row) -> dict[int, dict[str, float]]:
    return {
        trial.seed: {metric: spread.values[place] for metric, spread in row.numbers.items()}
        for place, trial in enumerate(row.trials)
    }


def _row(recipe: str, views: int | None, by_seed: Mapping[int, Mapping[str, float]]) -> Row:
    seeds = sorted(by_seed)
    metrics = [metric for metric in by_seed[seeds[0]] if all(metric in by_seed[seed] for seed in seeds)]
    numbers = {metric: Spread.over([by_seed[seed][metric] for seed in seeds]) for metric in metrics}
    return Row(recipe, views, tuple(Trial(recipe, views, seed) for seed in seeds), numbers)


def _joined(old: Row, new: Row) -> Row:
    """Failures are those of the newer alone: what failed before was tried again."""
    by_seed = _by_seed(old) | _by_seed(new)
    both = _row(new.recipe, new.views, by_seed) if by_seed else new
    return replace(both, failures=new.failures, skipped=new.skipped)


def _of_today(one: Measured) -> Measured:
    """Without recipes that have changed since."""

    def today(row: Row) -> bool:
        recipe, method = KNOWN.get(row.recipe), one.methods.get((row.recipe, row.views))
        return recipe is not None and any(variant.has_method(method) for variant in recipe.variants)

    # What was skipped or failed has no method: it is kept while there is such a recipe.
    kept = [row for row in one.rows if today(row) or (not row.numbers and row.recipe in KNOWN)]
    return replace(one, rows=kept)


def _plain(one: Measured, methods: dict[str, Method]) -> dict[str, Any]:
    """For JSON; descriptions go into ``methods``."""
    rows = []
    for row in one.rows:
        about: dict[str, Any] = {"recipe": row.recipe, "views": row.views}
        method = one.methods.get((row.recipe, row.views))
        if method is not None:
            key = f"{zlib.crc32(json.dumps(method, sort_keys=True).encode()):08x}"
            about["method"], methods[key] = key, method
        numbers = {metric: list(spread.values) for metric, spread in row.numbers.items()}
        seeds = [trial.seed for trial in row.trials]
        rows.append(
            about | {"seeds": seeds, "numbers": numbers, "failures": row.failures, "skipped": row.skipped}
        )
    whole = {name: getattr(one, name) for name in Measured.__dataclass_fields__ if name != "methods"}
    return whole | {"plan": asdict(one.plan), "rows": rows}


def _set(stored: dict[str, Any], methods: Mapping[str, Method]) -> Measured:
    rows, of_rows = [], {}
    for about in stored["rows"]:
        recipe, views, seeds = about["recipe"], about["views"], about["seeds"]
        by_seed = {
            seed: {metric: values[place] for metric, values in about["numbers"].items()}
            for place, seed in enumerate(seeds)
        }
        row = _row(recipe, views, by_seed) if seeds else Row(recipe, views, ())
        rows.append(replace(row, failures=tuple(about["failures"]), skipped=tuple(about["skipped"])))
        if "method" in about:
            of_rows[recipe, views] = methods[about["method"]]
    return Measured(**{**stored, "plan": plan_of(stored["plan"]), "rows": rows, "methods": of_rows})
