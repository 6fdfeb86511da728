"""The comparison itself: poses once, then trial after trial."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from firstlight.capture import load
from firstlight.comparison._page import write_page
from firstlight.comparison._plan import PLAN_FILE, Plan, Trial
from firstlight.comparison._results import Comparison, Outcome, make_row, making_seconds
from firstlight.comparison._trial import Skipped, finished_trial, run_trial
from firstlight.errors import InputError
from firstlight.fitting import Recipe
from firstlight.pipeline import Run, check_photos, new_folder
from firstlight.poses import (
    PLACED_FILE,
    estimate,
    get_matcher,
    given,
    load_placed,
    save_placed,
    structure_from_motion,
)
from firstlight.progress import Progress, Silent
from firstlight.recipes import RECIPES, get_recipe
from firstlight.scene import Capture


def compare(
    photos: str | Path,
    recipes: Sequence[str | Recipe],
    *,
    views: Sequence[int | None] = (None,),
    seeds: Sequence[int] = (0,),
    steps: int | None = None,
    minutes: float | None = None,
    max_size: int = 640,
    hold_out: str | Sequence[str] = "every8",
    matcher: str = "sift",
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Fit each recipe with each number of training views and each seed, and put them into one table.

    All share the photos, their poses (found once, with every photo), the held-out photos and a budget:
    ``steps`` of each fit or ``minutes`` of each run, otherwise each recipe's own steps. The folder ``out``
    gets ``compare.json``, ``compare.html`` and each fit's run folder below ``trials/``. With the same ``out``
    a comparison goes on where it stopped, and grows by recipes, views and seeds that are new. A recipe that
    fails is a line of the table that says why, and so is one that is skipped, because it needs what these
    photos have not. Seconds are those of making the scene: preparing photos, dense
    geometry, the start and the fit; not of the cameras, which are known before, nor of compiling kernels, of
    measuring and of the report.

    matcher: what finds the same points in photos, a name in ``firstlight.poses.MATCHERS``.

    InputError when the photos or the folder cannot be used, or a recipe is not known.
    """
    progress = progress or Silent()
    parts = {chosen.name: chosen for chosen in map(_recipe, recipes)}
    held = hold_out if isinstance(hold_out, str) else tuple(hold_out)
    get_matcher(matcher)
    plan = Plan(
        str(photos), tuple(parts), tuple(views), tuple(seeds), steps, minutes, max_size, held, matcher
    )  # fmt: skip
    folder = (
        Path(out) if out is not None else new_folder(Path("runs") / f"compare-{Path(photos).resolve().name}")
    )
    _claim(folder)
    plan = plan.joined(folder)
    # Recipes of an earlier start that were objects of some program are not known here: their lines go.
    parts |= {name: RECIPES[name] for name in plan.recipes if name in RECIPES and name not in parts}
    plan = replace(plan, recipes=tuple(name for name in plan.recipes if name in parts))
    capture, seconds = _placed(folder, plan, progress)
    _check_views(capture, plan)
    plan.save(folder)
    return _run(folder, plan, parts, capture, seconds, progress)


def _recipe(recipe: str | Recipe) -> Recipe:
    return get_recipe(recipe) if isinstance(recipe, str) else recipe


def _claim(folder: Path) -> None:
    """InputError when ``folder`` holds something else than a comparison."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not _begun(folder))):
        raise InputError(f"{folder}: is not empty and holds no comparison. Choose a new folder for --out.")


def _begun(folder: Path) -> bool:
    return (folder / PLAN_FILE).exists() or (folder / PLACED_FILE).exists()


def _placed(folder: Path, plan: Plan, progress: Progress) -> tuple[Capture, float]:
    """The photos with their cameras, found by an earlier start of this comparison or now; and the seconds."""
    capture = load(plan.photos, progress=progress)
    kept = folder / "pose_seconds.txt"
    if (folder / PLACED_FILE).exists() and kept.exists():
        return load_placed(folder, capture).capture, float(kept.read_text())
    began = time.perf_counter()
    method = partial(structure_from_motion, matcher=get_matcher(plan.matcher))
    placed = given(capture) if capture.posed else estimate(capture, progress=progress, method=method)
    seconds = round(time.perf_counter() - began, 2)
    folder.mkdir(parents=True, exist_ok=True)
    save_placed(folder, placed)
    kept.write_text(f"{seconds}\n")
    return placed.capture, seconds


def _check_views(capture: Capture, plan: Plan) -> None:
    """InputError now, not after an hour, when there are too few photos for a number of views."""
    for views in plan.views:
        capture.split(plan.hold_out, views)


def _run(
    folder: Path,
    plan: Plan,
    parts: dict[str, Recipe],
    capture: Capture,
    pose_seconds: float,
    progress: Progress,
) -> Comparison:
    outcomes: dict[Trial, Outcome] = {}
    rounds = list(plan.rounds())
    comparison = Comparison(folder, plan, [], pose_seconds)
    with progress.stage("comparing", sum(map(len, rounds))) as stage:
        for trials in rounds:
            news = trials is rounds[-1]
            for trial in trials:
                stage.say(f"{trial.recipe}, {trial.views or 'all'} views, seed {trial.seed}")
                recipe = parts[trial.recipe]
                known = finished_trial(plan, trial, recipe, folder) or _skipped(plan, trial, recipe, capture)
                news = news or known is None
                outcomes[trial] = known or run_trial(plan, trial, recipe, folder)
                progress.note(_words(trial, outcomes[trial]))
                rows = [make_row(name, views, outcomes) for views in plan.views for name in plan.recipes]
                comparison = Comparison(folder, plan, rows, pose_seconds)
                comparison.save()  # a comparison that is stopped keeps the table so far …
                stage.advance()
            if news:  # … and the page, which is longer in the making, of the rounds that it had finished
                write_page(comparison, parts)
    return comparison


def _skipped(plan: Plan, trial: Trial, recipe: Recipe, capture: Capture) -> Skipped | None:
    """Whether the photos have not what the recipe needs."""
    try:
        check_photos(recipe, capture, capture.split(plan.hold_out, trial.views).train)
    except InputError as error:
        return Skipped(str(error))
    return None


def _words(trial: Trial, outcome: Outcome) -> str:
    what = f"{trial.recipe}, {trial.views or 'all'} views, seed {trial.seed}"
    if not isinstance(outcome, Run):
        return f"{what}: {'skipped' if isinstance(outcome, Skipped) else 'failed'}: {outcome.reason}"
    said, seconds = outcome.summary, making_seconds(outcome.about) or 0.0
    return f"{what}: {said['psnr']:.2f} dB, {said['gaussians']:,} Gaussians, {seconds:.0f} s"
