"""A fit that is to end in time: as many steps as fit into it, by what steps have taken so far."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from math import ceil, inf
from statistics import fmean

from firstlight.errors import InputError
from firstlight.fitting.recipe import Recipe

Clock = Callable[[], float]  # seconds since whenever

UNUSUAL = 10  # first steps after a start or a stop: kernels are loaded and photos decoded
LATEST = 50  # steps that say what a step takes
LOOKS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)  # shares of the way after which to decide
SLACK = 0.02  # of the steps: a schedule is not moved for less
FEWEST = 50  # steps, however little time there is
MOST = 1_000_000


class Pace:
    """How many steps a fit makes, decided several times on its way; the whole schedule moves with it.

    A step is taken to cost what the latest ones at its size of photos did. At sizes not seen yet, the cost is
    taken to grow with the side of the photos, which lies between work for each pixel and for each Gaussian.
    What cannot be foreseen (growth, another load of the computer) is made up for at the next look; the last
    one is when a twentieth of the way is left. Where this moves the schedule, the fit's place in it jumps:
    learning rates, photo sizes and growth are those of the new place from then on.

    seconds: from now to the end of everything. afterwards: what follows the fit, in full-size steps.
    decided: steps in all by the step at which that was decided, by an earlier part of the same fit: they are
    repeated as they are, so that a fit that goes on is the one that was stopped. keep: is given that
    dictionary whenever it grows.
    """

    def __init__(
        self,
        seconds: float,
        *,
        afterwards: float = 0.0,
        decided: Mapping[int, int] | None = None,
        keep: Callable[[dict[int, int]], None] | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self.seconds, self.afterwards, self.clock, self.keep = seconds, afterwards, clock, keep
        self.decided = dict(decided or {})
        self.began = self.last = clock()
        self.made = 0  # steps, by this object's watch
        self.looks = list(LOOKS)
        self.costs: dict[float, deque[float]] = {}  # seconds of the latest steps, by the side of the photos

    def begin(self, recipe: Recipe, done: int, spent: float = 0.0) -> Recipe:
        """``recipe`` with the steps that were decided before step ``done``; the watch for steps starts.

        spent: seconds of the same fit before this start, which are not there any more.
        """
        before = [step for step in self.decided if step <= done]
        self.seconds -= spent
        self.last = self.clock()
        return replace(recipe, steps=self.decided[max(before)]) if before else recipe

    def after_step(self, recipe: Recipe, done: int) -> Recipe:
        """``recipe``, of which ``done`` steps are done, for the steps that follow."""
        now = self.clock()
        took, self.last = now - self.last, now
        self.made += 1
        if self.made > UNUSUAL:
            side = _side(recipe, (done - 1) / recipe.steps)
            self.costs.setdefault(side, deque(maxlen=LATEST)).append(took)
        if done in self.decided:
            return replace(recipe, steps=self.decided[done])
        passed = max(done / recipe.steps, (now - self.began) / max(self.seconds, 1e-9))
        if not self.costs or not self.looks or passed < self.looks[0]:
            return recipe
        if any(step > done for step in self.decided):
            return recipe  # this stretch was decided on before
        self.looks = [share for share in self.looks if share > passed]
        steps = self._steps(recipe, done, self.seconds - (now - self.began))
        if abs(steps - recipe.steps) <= SLACK * recipe.steps:
            return recipe
        self.decided[done] = steps
        if self.keep is not None:
            self.keep(dict(self.decided))
        return replace(recipe, steps=steps)

    def _steps(self, recipe: Recipe, done: int, left: float) -> int:
        """Of all the numbers of steps, the largest with which the end comes in time."""
        left -= self.afterwards * self._cost(1.0)
        low, high = max(done, FEWEST), MOST
        while high - low > 1:
            middle = (low + high) // 2
            enough = self._ahead(replace(recipe, steps=middle), done) <= left
            low, high = (middle, high) if enough else (low, middle)
        return low

    def _ahead(self, recipe: Recipe, done: int) -> float:
        """Seconds from step ``done`` to the last."""
        starts = {start for start, _ in (*recipe.pictures, *recipe.dilation)}
        edges = sorted({0.0, 1.0, *(start for start in starts if 0 < start < 1)})
        seconds = 0.0
        for start, end in pairwise(edges):
            first, last = max(ceil(start * recipe.steps), done), ceil(end * recipe.steps)
            seconds += max(last - first, 0) * self._cost(_side(recipe, start))
        return seconds

    def _cost(self, side: float) -> float:
        """Seconds of a step on photos that are ``side`` times as wide as they can be."""
        if side in self.costs:
            return fmean(self.costs[side])
        nearest = min(self.costs, key=lambda known: abs(known - side))
        return fmean(self.costs[nearest]) * side / nearest


def check_budget(steps: int | None, minutes: float | None) -> None:
    """InputError unless at most one of them is given, and makes sense."""
    if steps is not None and minutes is not None:
        raise InputError("Give a budget of --steps or of --minutes, not both.")
    if steps is not None and steps < 1:
        raise InputError(f"{steps} steps: expected at least 1.")
    if minutes is not None and not 0 < minutes < inf:
        raise InputError(f"{minutes} minutes: expected more than 0.")


def _side(recipe: Recipe, fraction: float) -> float:
    """Width of the photos that are rendered then, over that of whole ones."""
    return recipe.scale_at(fraction) / recipe.dilation_at(fraction)
