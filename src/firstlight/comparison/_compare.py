"""The comparison itself: poses once, then trial after trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from firstlight.capture import load, place_of
from firstlight.comparison._cameras import Shared, check_enough, share_cameras
from firstlight.comparison._page import write_page
from firstlight.comparison._plan import PLAN_FILE, Plan, Trial
from firstlight.comparison._results import Comparison, Outcome, make_row, making_seconds
from firstlight.comparison._trial import Skipped, finished_trial, run_trial
from firstlight.errors import InputError
from firstlight.files import alone_in
from firstlight.fitting import Recipe
from firstlight.pipeline import PosedBy, Run, as_hold_out, check_photos, new_folder
from firstlight.poses import get_matcher
from firstlight.progress import Progress, Silent
from firstlight.recipes import RECIPES, get_recipe


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
    poses: PosedBy = "all",
    matcher: str = "sift",
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Fit each recipe with each number of training views and each seed, and put them into one table.

    All share the photos, their cameras, those held out and a budget: ``steps`` of each fit or ``minutes`` of
    each run, otherwise each recipe's own steps. The folder ``out`` gets ``compare.json``, ``compare.html``
    and each fit's run folder below ``trials/``. With the same ``out`` a comparison goes on where it stopped,
    and grows by recipes, views and seeds that are new. A recipe that fails is a line of the table that says
    why, and so is one that is skipped, because these photos have not what it needs. Seconds are those of
    making the scene: preparing photos, dense geometry, the start and the fit; not of the cameras, which are
    known before, nor of compiling kernels, of measuring and of the report.

    poses: where photos come without cameras, these are found once with every photo, or once for each number
    of views from its training photos alone; held-out ones are then placed against these, and aligned to each
    finished scene. matcher: what finds the same points in photos, a name in ``firstlight.poses.MATCHERS``.

    InputError when the photos or the folder cannot be used, or a recipe is not known.
    """
    progress = progress or Silent()
    parts = _by_name(recipes)
    get_matcher(matcher)
    once = tuple(dict.fromkeys(views)), tuple(dict.fromkeys(seeds))
    held_out = as_hold_out(hold_out)
    plan = Plan(place_of(photos), tuple(parts), *once, steps, minutes, max_size, held_out, matcher, poses)
    folder = (
        Path(out) if out is not None else new_folder(Path("runs") / f"compare-{Path(photos).resolve().name}")
    )
    _claim(folder)
    with alone_in(folder):
        return _compare(folder, plan, parts, progress)


def _compare(folder: Path, plan: Plan, parts: dict[str, Recipe], progress: Progress) -> Comparison:
    plan = plan.joined(folder)
    # Recipes of an earlier start that were objects of some program are not known here: their lines go.
    parts |= {name: RECIPES[name] for name in plan.recipes if name in RECIPES and name not in parts}
    plan = replace(plan, recipes=tuple(name for name in plan.recipes if name in parts))
    source = load(plan.photos, progress=progress)
    check_enough(plan, source)
    new = not _begun(folder)
    plan.save(folder)  # before cameras are found, which take minutes and are of this plan alone
    try:
        shared = share_cameras(folder, plan, source, progress)
    except InputError:
        if new:
            (folder / PLAN_FILE).unlink()
        raise
    return _run(folder, plan, parts, shared, progress)


def _by_name(recipes: Sequence[str | Recipe]) -> dict[str, Recipe]:
    """The recipes. InputError when two of them share a name."""
    parts: dict[str, Recipe] = {}
    for one in recipes:
        recipe = get_recipe(one) if isinstance(one, str) else one
        if parts.setdefault(recipe.name, recipe) != recipe:
            raise InputError(f"Two recipes are called '{recipe.name}'. Give one of them another name.")
    return parts


def _claim(folder: Path) -> None:
    """InputError when ``folder`` holds something else than a comparison."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not _begun(folder))):
        raise InputError(f"{folder}: is not empty and holds no comparison. Choose a new folder for --out.")


def _begun(folder: Path) -> bool:
    return (folder / PLAN_FILE).exists()


def _run(
    folder: Path,
    plan: Plan,
    parts: dict[str, Recipe],
    shared: Mapping[int | None, Shared],
    progress: Progress,
) -> Comparison:
    outcomes: dict[Trial, Outcome] = {}
    rounds = list(plan.rounds())
    seconds = tuple(one.seconds for one in shared.values())
    seconds = seconds if plan.poses == "train" else seconds[:1]
    comparison = Comparison(folder, plan, [], seconds)
    with progress.stage("comparing", sum(map(len, rounds))) as stage:
        for trials in rounds:
            news = trials is rounds[-1]
            for trial in trials:
                stage.say(f"{trial.recipe}, {trial.views or 'all'} views, seed {trial.seed}")
                recipe = parts[trial.recipe]
                known = finished_trial(plan, trial, recipe, folder) or _skipped(recipe, shared[trial.views])
                news = news or known is None
                outcomes[trial] = known or run_trial(plan, trial, recipe, folder)
                progress.note(_words(trial, outcomes[trial]))
                rows = [make_row(name, views, outcomes) for views in plan.views for name in plan.recipes]
                comparison = Comparison(folder, plan, rows, seconds)
                comparison.save()  # a comparison that is stopped keeps the table so far …
                stage.advance()
            if news:  # … and the page, which is longer in the making, of the rounds that it had finished
                write_page(comparison, parts)
    return comparison


def _skipped(recipe: Recipe, shared: Shared) -> Skipped | None:
    """Why there is nothing to try, where there is not."""
    if shared.reason:
        return Skipped(shared.reason)
    try:
        check_photos(recipe, shared.capture, shared.split.train)
    except InputError as error:
        return Skipped(str(error))
    return None


def _words(trial: Trial, outcome: Outcome) -> str:
    what = f"{trial.recipe}, {trial.views or 'all'} views, seed {trial.seed}"
    if not isinstance(outcome, Run):
        return f"{what}: {'skipped' if isinstance(outcome, Skipped) else 'failed'}: {outcome.reason}"
    said, seconds = outcome.summary, making_seconds(outcome.about) or 0.0
    quality = "no PSNR" if said["psnr"] is None else f"{said['psnr']:.2f} dB"
    return f"{what}: {quality}, {said['gaussians']:,} Gaussians, {seconds:.0f} s"
