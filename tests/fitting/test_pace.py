"""Fits that are to end in time, by a clock that tells what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.errors import InputError
from firstlight.fitting import Fitted, Pace, Recipe, fit_gaussians
from firstlight.fitting.pace import FEWEST
from firstlight.recipes import get_recipe
from firstlight.scene import Capture, Split
from firstlight.starts import RandomBox

COARSE_TO_FINE = replace(get_recipe("default"), pictures=((0.0, 0.25), (0.2, 0.5), (0.5, 1.0)), steps=1000)


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def drive(
    seconds: float, cost: Callable[[float, float], float], recipe: Recipe = COARSE_TO_FINE, after: float = 0.0
) -> tuple[Pace, int, float]:
    """A fit whose steps take ``cost(fraction, side)``: its pace, its steps, and what is left in the end."""
    clock = Clock()
    pace = Pace(seconds, afterwards=after, clock=clock)
    recipe = pace.begin(recipe, 0)
    done = 0
    while done < recipe.steps:
        fraction = done / recipe.steps
        clock.now += cost(fraction, recipe.scale_at(fraction))
        done += 1
        recipe = pace.after_step(recipe, done)
    return pace, done, seconds - (clock.now - pace.began)


@pytest.mark.parametrize("seconds", [8.0, 60.0, 600.0])
@pytest.mark.parametrize(
    "cost",
    [
        lambda fraction, side: 0.02,
        lambda fraction, side: 0.05 * side**2,
        lambda fraction, side: 0.01 + 0.03 * side**2 + 0.04 * fraction,  # Gaussians become more
        lambda fraction, side: 0.02 if fraction < 0.6 else 0.04,  # another program begins to work
    ],
    ids=["always", "pixels", "growth", "busy"],
)
def test_the_end_comes_in_time(seconds: float, cost: Callable[[float, float], float]) -> None:
    _, steps, left = drive(seconds, cost)
    assert steps > FEWEST
    assert abs(left) < 0.05 * seconds


def test_what_follows_is_left_time_for() -> None:
    _, _, left = drive(60.0, lambda fraction, side: 0.04 * side, after=200)
    assert left == pytest.approx(200 * 0.04, abs=0.04 * 60)


def test_what_an_earlier_start_took_is_gone() -> None:
    clock = Clock()
    pace = Pace(60.0, clock=clock)
    recipe = pace.begin(replace(COARSE_TO_FINE, pictures=((0.0, 1.0),)), 100, spent=50.0)
    for done in range(101, 131):
        clock.now += 0.05
        recipe = pace.after_step(recipe, done)
    assert recipe.steps == pytest.approx(100 + 10.0 / 0.05, rel=0.05)


def test_a_schedule_that_fits_is_left_alone() -> None:
    pace, steps, _ = drive(14.0, lambda fraction, side: 0.02 * side)
    assert steps == 1000 and not pace.decided


@pytest.mark.parametrize("seconds", [1e-3, 0.0, -30.0])
def test_where_no_time_is_left_some_steps_are_made(seconds: float) -> None:
    _, steps, _ = drive(seconds, lambda fraction, side: 1.0)
    assert steps == FEWEST


@pytest.fixture(scope="module")
def demo() -> Capture:
    return pipeline.prepare(load_demo(with_cameras=True).select(range(4)), 48)


@dataclass
class Ticking:
    """A clock that goes on by ``step`` each time somebody looks at it; ``stop`` is its last time but one."""

    step: float
    looks: int = 0
    stop: int = -1

    def __call__(self) -> float:
        self.looks += 1
        if self.looks == self.stop:
            raise KeyboardInterrupt
        return self.looks * self.step


def test_a_fit_that_goes_on_does_what_was_decided(demo: Capture, tmp_path: Path) -> None:
    """Decisions are kept at once; with them, and whatever the clock says, the same scene comes out."""
    recipe = replace(get_recipe("default"), start=RandomBox(200), steps=120)
    split = Split([0, 1, 2, 3], [])
    decided: dict[int, int] = {}

    def fit(folder: Path | None, clock: Ticking, decides: bool = True) -> Fitted:
        pace = Pace(2.0, decided=decided, keep=decided.update, clock=clock)
        if not decides:
            pace.looks = []
        return fit_gaussians(demo, recipe, split, folder=folder, checkpoint_seconds=0.0, pace=pace)

    with pytest.raises(KeyboardInterrupt):  # as if the process had been killed
        fit(tmp_path, Ticking(0.02, stop=40))
    first = dict(decided)
    assert first and max(first) <= 40
    whole = fit(tmp_path, Ticking(0.03))
    assert first.items() <= decided.items() and whole.complete and whole.step == decided[max(decided)] != 120

    again = fit(None, Ticking(1e-5), decides=False)  # by this clock, there is time for as many as one likes
    assert again.step == whole.step
    assert all(torch.equal(a, b) for a, b in zip(again.gaussians, whole.gaussians, strict=True))


def test_a_run_of_minutes_says_what_was_decided(tmp_path: Path) -> None:
    photos = load_demo(with_cameras=True).select(range(4))
    run = pipeline.fit(photos, "vanilla", out=tmp_path / "run", minutes=0.001, max_size=48)
    assert run.complete and run.summary["steps"] == run.about["steps"] == FEWEST
    assert list(run.about["pace"].values()) == [FEWEST] and run.about["options"]["minutes"] == 0.001
    assert run.about["recipe"]["steps"] == get_recipe("vanilla").steps, "the recipe is what was asked for"


def test_budgets_that_make_no_sense(tmp_path: Path) -> None:
    for minutes, steps in ((0.0, None), (float("nan"), None), (1.0, 5)):
        with pytest.raises(InputError, match="minutes"):
            pipeline.fit("demo", out=tmp_path / "run", minutes=minutes, steps=steps)
