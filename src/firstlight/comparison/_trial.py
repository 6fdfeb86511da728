"""One fit of a comparison, in a process of its own: its memory is its own, and so is its death."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firstlight.capture import load
from firstlight.comparison._plan import Plan, Trial
from firstlight.errors import InputError
from firstlight.fitting import Recipe, fit_gaussians
from firstlight.pipeline import Run, fit, prepare, resume
from firstlight.poses import load_placed
from firstlight.scene import Capture

# A budget in minutes is turned into steps by a small fit of the same recipe with this share of its steps:
# growth, coarse pictures and all are part of it, and of what it takes.
REHEARSAL = 0.1
FEWEST_REHEARSED = 150  # steps: refinements are at least 50 apart


@dataclass(frozen=True)
class Failure:
    """Why a trial has no numbers."""

    reason: str


def run_trial(plan: Plan, trial: Trial, recipe: Recipe, folder: Path) -> Run | Failure:
    """Run ``trial`` of the comparison in ``folder``, or go on with it; a finished one is only read."""
    done = _finished(folder / "trials" / trial.folder)
    if done is not None:
        return done
    context = multiprocessing.get_context("spawn")  # fork would copy torch's threads in mid-air
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            pool.submit(_work, plan, trial, recipe, folder).result()
        except InputError as error:
            return Failure(str(error))
        except BrokenProcessPool:
            return Failure("its process was ended from outside (out of memory?)")
        except Exception as error:  # a recipe's bug must not end the comparison of the others
            return Failure(f"{type(error).__name__}: {error}")
    return _finished(folder / "trials" / trial.folder) or Failure("it was stopped on the way")


def _finished(folder: Path) -> Run | None:
    if not (folder / "run.json").exists():
        return None
    run = Run.open(folder)
    return run if run.complete else None


def _work(plan: Plan, trial: Trial, recipe: Recipe, folder: Path) -> None:
    """The body of the process."""
    capture = load_placed(folder, load(plan.photos)).capture
    out = folder / "trials" / trial.folder
    if (out / "run.json").exists():
        resume(out, photos=capture, recipe=recipe)
        return
    rehearsal = _Rehearsal(capture, plan, trial, recipe)
    rehearsal.seconds(2)  # compiles or loads the kernels: no recipe is to pay for that
    steps = plan.steps if plan.minutes is None else rehearsal.steps_within(60 * plan.minutes)
    options: dict[str, Any] = {"max_size": plan.max_size, "hold_out": plan.hold_out, "seed": trial.seed}
    fit(capture, recipe, out=out, views=trial.views, steps=steps, **options)


class _Rehearsal:
    """Small fits of the same recipe, thrown away."""

    def __init__(self, capture: Capture, plan: Plan, trial: Trial, recipe: Recipe) -> None:
        self.recipe, self.seed = recipe, trial.seed
        self.capture = prepare(capture, plan.max_size)
        self.split = self.capture.split(plan.hold_out, trial.views)

    def seconds(self, steps: int) -> float:
        """What that many steps take, with the whole schedule pressed into them."""
        short = replace(self.recipe, steps=steps)
        return fit_gaussians(self.capture, short, self.split, seed=self.seed).seconds

    def steps_within(self, seconds: float) -> int:
        """How many steps fit into ``seconds``."""
        few = max(FEWEST_REHEARSED, round(REHEARSAL * self.recipe.steps))
        return max(round(few * seconds / self.seconds(few)), 1)
