"""What is to be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from firstlight.capture import place_of
from firstlight.errors import InputError
from firstlight.files.atomic import atomic_write
from firstlight.fitting import check_budget
from firstlight.pipeline import PosedBy, check_max_size, check_seed

PLAN_FILE = "plan.json"
# What all trials of one folder must have in common, or their numbers do not belong into one table.
SHARED = ("photos", "steps", "minutes", "max_size", "hold_out", "matcher", "poses")


@dataclass(frozen=True)
class Trial:
    """One fit of the comparison."""

    recipe: str
    views: int | None  # None: all
    seed: int

    @property
    def folder(self) -> str:
        """Its run folder's name below ``trials/``."""
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", self.recipe)
        return f"{plain}-{self.views or 'all'}-{self.seed}"


@dataclass(frozen=True)
class Plan:
    """Recipes × numbers of training views × seeds, and what all of them share."""

    photos: str
    recipes: tuple[str, ...]
    views: tuple[int | None, ...] = (None,)
    seeds: tuple[int, ...] = (0,)
    steps: int | None = None  # None: each recipe's own
    minutes: float | None = None  # of each run, instead of steps
    max_size: int = 640
    hold_out: str | tuple[str, ...] = "every8"
    matcher: str = "sift"
    poses: PosedBy = "all"  # whose photos cameras are found from, where none came with them

    def __post_init__(self) -> None:
        for name in ("recipes", "views", "seeds"):
            if not getattr(self, name):
                raise InputError(f"Nothing to compare: there are no {name}.")
        check_budget(self.steps, self.minutes)
        check_max_size(self.max_size)
        for seed in self.seeds:
            check_seed(seed)
        folders: dict[str, str] = {}
        for name in self.recipes:
            other = folders.setdefault(Trial(name, None, 0).folder.lower(), name)
            if other != name:
                raise InputError(f"The recipes '{other}' and '{name}' would share a folder: rename one.")

    def rounds(self) -> Iterator[list[Trial]]:
        """All recipes, seed by seed and by views: a comparison that is stopped has compared something."""
        for seed in self.seeds:
            for views in self.views:
                yield [Trial(recipe, views, seed) for recipe in self.recipes]

    def joined(self, folder: Path) -> Plan:
        """This plan and the one that ``folder`` already follows, if it does: recipes, views and seeds add up.

        InputError when they differ in what all trials share.
        """
        before = load_plan(folder)
        if before is None:
            return self
        for name in SHARED:
            was, is_now = getattr(before, name), getattr(self, name)
            if was != is_now and not (name == "photos" and place_of(was) == place_of(is_now)):
                raise InputError(
                    f"{folder}: its trials were made with {name} = {was}, not {is_now}. "
                    "Numbers of one table must be comparable: choose another --out."
                )
        return replace(
            self,
            recipes=tuple(dict.fromkeys((*before.recipes, *self.recipes))),
            views=tuple(dict.fromkeys((*before.views, *self.views))),
            seeds=tuple(dict.fromkeys((*before.seeds, *self.seeds))),
        )

    def save(self, folder: Path) -> None:
        with atomic_write(folder / PLAN_FILE) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")


def load_plan(folder: Path) -> Plan | None:
    """The plan that ``folder`` follows; None where there is none. InputError when it cannot be read."""
    path = folder / PLAN_FILE
    if not path.exists():
        return None
    try:
        return plan_of(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no plan of a comparison ({error}). Choose another --out.") from error


def plan_of(stored: dict[str, Any]) -> Plan:
    """The plan that ``dataclasses.asdict`` and JSON made ``stored`` of."""
    lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
    return Plan(**{**stored, **lists})
