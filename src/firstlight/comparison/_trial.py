"""One fit of a comparison, in a process of its own: its memory is its own, and so is its death."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

from firstlight.capture import load
from firstlight.comparison._cameras import cameras_folder
from firstlight.comparison._plan import Plan, Trial
from firstlight.errors import InputError
from firstlight.fitting import Recipe, fit_gaussians
from firstlight.pipeline import Run, fit, new_folder, prepare, resumable, resume, split_placed
from firstlight.pipeline.warm_up import REST, STEPS, warming
from firstlight.poses import load_placed
from firstlight.starts import RandomBox

NOT_STARTED = (
    "A fit's own process could not start. It reads the script that called compare() again, as every process "
    "of Python's does: keep that call in a file, not on standard input, and below `if __name__ == "
    '"__main__":`. If it already is, memory may have run out.'
)


@dataclass(frozen=True)
class Failure:
    """Why a trial has no numbers."""

    reason: str


@dataclass(frozen=True)
class Skipped:
    """Why a trial was not begun: the photos have not what it needs."""

    reason: str


def finished_trial(plan: Plan, trial: Trial, recipe: Recipe, folder: Path) -> Run | None:
    """What ``trial`` of the comparison in ``folder`` came to, if it is finished.

    One that was made with other settings of the recipe is set aside, beside where it was.
    """
    _set_aside_changed(folder / "trials" / trial.folder, recipe, plan)
    return finished_run(folder / "trials" / trial.folder)


def run_trial(plan: Plan, trial: Trial, recipe: Recipe, folder: Path) -> Run | Failure:
    """Run ``trial`` of the comparison in ``folder``, or go on with it.

    InputError where its process cannot even start: then no other one can.
    """
    context = multiprocessing.get_context("spawn")  # fork would copy torch's threads in mid-air
    started = context.Event()
    with ProcessPoolExecutor(1, mp_context=context, initializer=started.set) as pool:
        try:
            pool.submit(_work, plan, trial, recipe, folder).result()
        except InputError as error:
            return Failure(str(error))
        except BrokenProcessPool:
            if not started.is_set():
                raise InputError(NOT_STARTED) from None
            return Failure("its process was ended from outside (out of memory?)")
        except Exception as error:  # a recipe's bug must not end the comparison of the others
            return Failure(f"{type(error).__name__}: {error}")
    return finished_run(folder / "trials" / trial.folder) or Failure("it was stopped on the way")


def finished_run(folder: Path) -> Run | None:
    """The run in ``folder``, if there is one and it came to its end."""
    if not (folder / "run.json").exists():
        return None
    run = Run.open(folder)
    return run if run.complete else None


def _set_aside_changed(folder: Path, recipe: Recipe, plan: Plan) -> None:
    """A recipe's name stands for its settings of today: one table must not mix them with yesterday's."""
    if not (folder / "run.json").exists():
        return
    run = Run.open(folder)
    then = run.about.get("recipe", {})
    own_steps = plan.steps is None and plan.minutes is None
    same = any(
        one.has_method(then) and not (own_steps and then.get("steps") != one.steps)
        for one in recipe.variants  # by how many photos train
    )
    if not same or not (run.complete or resumable(run, recipe)):
        folder.rename(new_folder(folder.with_name(f"{folder.name}-before")))


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, killed in a way that it could not pass on."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _work(plan: Plan, trial: Trial, recipe: Recipe, folder: Path) -> None:
    """The body of the process."""
    _end_with_parent()
    source = load(plan.photos)
    placed = load_placed(cameras_folder(folder, plan, trial.views), source)
    out = folder / "trials" / trial.folder
    if (out / "run.json").exists():
        resume(out, photos=source, recipe=recipe, placed=placed)
        return
    small = prepare(placed.capture, plan.max_size)
    split = split_placed(small, source, plan.hold_out, trial.views, plan.poses)
    fitted = recipe.for_photos(len(split.train))
    # Compiles and loads the kernels: no recipe is to pay for that. Plain Gaussians anywhere need no geometry.
    with warming() as kernels:
        for part in (REST, STEPS):
            kernels.wait(part)
    plain = replace(fitted, start=RandomBox(500), representation=None, steps=2)
    fit_gaussians(small, plain, split, seed=trial.seed)
    fit(
        source,
        recipe,
        out=out,
        views=trial.views,
        steps=plan.steps,
        minutes=plan.minutes,
        max_size=plan.max_size,
        hold_out=plan.hold_out,
        seed=trial.seed,
        poses=plan.poses,
        matcher=plan.matcher,
        placed=placed,
    )
