"""Comparisons of several photo sets: running them unattended, and what their pages share.

Pages of whole runs are written from ``firstlight compare``'s folders; those of single fits, which look at
something that a run does not keep, from one file a fit (``kept``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from firstlight.capture import load
from firstlight.comparison import Comparison, Plan, Trial, compare
from firstlight.comparison import Row as TableRow
from firstlight.errors import InputError
from firstlight.files.atomic import atomic_write
from firstlight.fitting import Recipe
from firstlight.pipeline import Run
from firstlight.pipeline.machine import machine, versions
from firstlight.poses import PLACED_FILE, estimate, load_placed, save_placed
from firstlight.progress import Terminal
from firstlight.scene import Capture


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Lines of Markdown; the first columns are ``words``, the others are numbers."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def set_name(photos: str, poses: str = "all") -> str:
    """What a set is called: its folder's name, and whose pictures its cameras were found from, if any."""
    path = Path(photos)
    name = path.parent.name if path.name == "images" else path.name
    if poses == "train":
        return f"{name} (training photos alone)"
    return f"{name} (photos alone)" if path.name == "images" else name


def name_of(comparison: Comparison) -> str:
    """What its set is called."""
    return set_name(comparison.plan.photos, comparison.plan.poses)


def run_sets(
    sets: Sequence[str], recipes: Sequence[Recipe], folder: Path, seeds: Sequence[int], **options: Any
) -> Iterator[dict[str, str]]:
    """Compare ``recipes`` on each of ``sets``, each in a folder of its own below ``folder``.

    All sets get their first seed before any gets a second. What is finished is only read. After each set
    this yields why sets could not be compared, by name. options: as for ``firstlight.comparison.compare``.
    """
    progress, failed = Terminal(), dict[str, str]()
    for count in range(1, len(seeds) + 1):
        for photos in sets:
            name = set_name(photos, options.get("poses", "all"))
            progress.note(f"== {name}, seed {seeds[count - 1]}")
            out = folder / name.replace(" (photos alone)", "-photos").replace(
                " (training photos alone)", "-train"
            )
            try:
                compare(photos, recipes, seeds=seeds[:count], out=out, progress=progress, **options)
            except InputError as error:  # of this set: the others are not to wait for it
                failed[name] = without_paths(str(error), photos, out)
                progress.note(f"{name}: {error}")
            yield failed


def comparisons_below(folder: Path) -> list[Comparison]:
    """All comparisons in ``folder`` and below, by name of their set; those of the latest change last."""
    found = sorted(folder.rglob("compare.json"), key=lambda path: path.stat().st_mtime)
    return sorted((Comparison.open(path.parent) for path in found), key=name_of)


def run_of(comparison: Comparison, trial: Trial) -> Run:
    return Run.open(comparison.folder / "trials" / trial.folder)


def some_run(comparisons: Sequence[Comparison]) -> Run | None:
    """One finished run, which says what machine and versions there were."""
    for comparison in reversed(comparisons):
        for row in comparison.rows:
            if row.trials:
                return run_of(comparison, row.trials[-1])
    return None


def machine_line(about: Mapping[str, Any]) -> str:
    """Of what ``run.json`` and its like say about machine and versions."""
    machine, versions = about["machine"], about["versions"]
    packages = ", ".join(f"{name} {versions[name]}" for name in ("firstlight", "torch", "numba"))
    hardware = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB"
    return f"Machine: {hardware}; Python {machine['python']}, {packages}."


def views_of(rows: Iterable[TableRow]) -> list[int | None]:
    """Numbers of training photos, the fewest first, all of them last."""
    return sorted({row.views for row in rows}, key=lambda views: views or 10**9)


def budget(plan: Plan) -> str:
    """How long each fit of ``plan`` was, in a word."""
    if plan.minutes is not None:
        return f"{plan.minutes:g} minutes"
    return "each recipe's own" if plan.steps is None else f"{plan.steps:,}"


def without_paths(reason: str, photos: str, folder: Path) -> str:
    """An error's words for a page: no places of this machine, no photo's name, no table broken."""
    for place in (folder.resolve(), folder, Path(photos).parent):
        if str(place) not in (".", "/"):
            reason = reason.replace(f"{place}/", "").replace(str(place), "its folder")
    reason = re.sub(r"^\S+\.\w{3,5}: ", "a photo ", reason)
    return " ".join(reason.replace("|", "/").split())


def mean_and_range(values: Sequence[float], digits: int = 2, sign: str = "") -> str:
    """'20.50 (20.00 … 21.00)'; sign: '+' for differences."""
    mean, low, high = (f"{one:{sign}.{digits}f}" for one in (fmean(values), min(values), max(values)))
    return f"{mean} ({low} … {high})" if len(values) > 1 else mean


def placed(photos: str, folder: Path) -> Capture:
    """Photos with cameras: those that came with them, or found once and kept in ``folder``."""
    capture = load(photos)
    if capture.posed:
        return capture
    if not (folder / PLACED_FILE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_placed(folder, estimate(capture, progress=Terminal()))
    return load_placed(folder, capture).capture


Row = dict[str, Any]


def kept(file: Path, about: Mapping[str, Any], recipe: Recipe, measure: Callable[[], Row]) -> Row:
    """One fit of ``recipe``: ``about`` it, what ``measure`` gives, and the machine; only read where ``file``
    has it.

    A file about something else, or of other settings, is measured anew.
    """
    about = {**about, "settings": recipe.method()}
    if file.exists():
        found: Row = json.loads(file.read_text())
        same = all(found.get(key) == value for key, value in about.items() if key != "settings")
        if same and recipe.has_method(found["settings"]):
            return found
    row = {**about, **measure(), "machine": machine(), "versions": versions()}
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(row, indent=1) + "\n")
    return row


def kept_below(folder: Path) -> list[Row]:
    """All that ``kept`` wrote into ``folder``, by name of its file."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
