"""A fit from its first step to its last: what is shown, written and saved around the steps."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from firstlight.files.atomic import atomic_write
from firstlight.fitting._interrupt import Interrupt
from firstlight.fitting.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from firstlight.fitting.loop import Fit, Outcome
from firstlight.fitting.memory import peak_memory_mb
from firstlight.fitting.model import Model
from firstlight.fitting.pace import Pace
from firstlight.fitting.recipe import Recipe
from firstlight.progress import Progress, Silent, Stage
from firstlight.scene import Cameras, Capture, Gaussians, Split

LOGGED = 100  # lines of metrics.jsonl a run
PROBED = 5  # times that the held-out photos are looked at on the way


@dataclass(frozen=True)
class Fitted:
    """The end of a fit. ``complete`` is False when it was stopped on the way; a checkpoint then holds it."""

    gaussians: Gaussians
    step: int
    seconds: float
    complete: bool
    cameras: Cameras | None = None  # of all photos, those of the training photos refined; None: not refined
    model: Model | None = None  # what was optimised, where it holds more than the Gaussians


def fit_gaussians(
    capture: Capture,
    recipe: Recipe,
    split: Split,
    *,
    seed: int = 0,
    folder: Path | None = None,
    fingerprint: str = "",
    checkpoint_seconds: float = 60.0,
    pace: Pace | None = None,
    progress: Progress | None = None,
    watch: Callable[[Gaussians, str], None] | None = None,
) -> Fitted:
    """Fit ``recipe`` to the training photos of an undistorted ``capture``.

    With a ``folder``, ``metrics.jsonl`` and, every ``checkpoint_seconds``, ``checkpoints/`` are written
    there, and a fit with the same ``fingerprint`` that stopped on the way goes on from its newest one.
    Ctrl-C stops cleanly. ``pace`` says, on the way, how many steps there are. ``watch`` is shown the
    Gaussians about once a second.
    """
    progress, began = progress or Silent(), time.perf_counter()
    fit = Fit(capture, recipe, split.train, seed)
    found = load_checkpoint(folder / "checkpoints", fingerprint) if folder else None
    if found is None:
        fit.begin()
    else:
        fit.restore(found.step, found.tensors)
    before = found.seconds if found else 0.0
    if pace is not None:
        fit.follow(pace.begin(recipe, fit.done, before))
    if found is not None:
        progress.note(f"Going on from step {found.step:,} of {fit.recipe.steps:,}.")
    keeper = _Keeper(folder, fingerprint, checkpoint_seconds)
    return _Course(fit, split.test, keeper, pace, progress, watch, before, began).go()


class _Keeper:
    """Saves a fit now and then; without a folder it saves nothing."""

    def __init__(self, folder: Path | None, fingerprint: str, every: float) -> None:
        self.folder, self.fingerprint, self.every = folder, fingerprint, every
        self.saved = time.perf_counter()

    def save(self, fit: Fit, seconds: float, now: bool = False) -> None:
        if self.folder is None or not (now or time.perf_counter() - self.saved > self.every):
            return
        checkpoint = Checkpoint(fit.done, seconds, self.fingerprint, fit.state())
        save_checkpoint(checkpoint, self.folder / "checkpoints")
        self.saved = time.perf_counter()


class _Course:
    """A fit on its way: what is shown, written and saved around the steps."""

    def __init__(
        self,
        fit: Fit,
        held_out: list[int],
        keeper: _Keeper,
        pace: Pace | None,
        progress: Progress,
        watch: Callable[[Gaussians, str], None] | None,
        before: float,  # seconds, of earlier starts
        began: float,  # when this one did: the first Gaussians had to be placed
    ) -> None:
        self.fit, self.held_out, self.keeper, self.pace = fit, held_out, keeper, pace
        self.progress, self.watch = progress, watch
        self.before, self.began = before, began
        self.first_step, self.stepped = fit.done, time.perf_counter()
        self.shown = self.stepped

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.began

    def go(self) -> Fitted:
        fit = self.fit
        with _log_file(self.keeper.folder, fit.done) as log, Interrupt() as interrupt:
            with self.progress.stage("Fitting", fit.recipe.steps) as stage:
                stage.advance(fit.done)
                while not fit.over and not interrupt.asked:
                    log_every = max(1, fit.recipe.steps // LOGGED)
                    look = (fit.done + 1) % log_every == 0
                    outcome = fit.step(look)
                    stage.advance()
                    if look:
                        self._log(log, outcome, probe=fit.done % (log_every * (LOGGED // PROBED)) == 0)
                        stage.say(self._words(outcome))
                    self._show(outcome)
                    self.keeper.save(fit, self.seconds)
                    self._keep_pace(stage)
            self.keeper.save(fit, self.seconds, now=True)
        if fit.over and fit.done < fit.recipe.steps:
            self.progress.note(f"  step {fit.done:,}: depth got no better, so this is the end")
        cameras = None if fit.cameras is None else fit.cameras.on(fit.pictures.cameras)
        model = fit.model if fit.represented else None
        return Fitted(fit.model.gaussians.clone(), fit.done, self.seconds, fit.over, cameras, model)

    def _keep_pace(self, stage: Stage) -> None:
        if self.pace is None:
            return
        recipe = self.pace.after_step(self.fit.recipe, self.fit.done)
        if recipe.steps != self.fit.recipe.steps:
            self.fit.follow(recipe)
            stage.total(recipe.steps)
            self.progress.note(f"  step {self.fit.done:,}: {recipe.steps:,} steps fit into the time")

    def _log(self, log: TextIO | None, outcome: Outcome, probe: bool) -> None:
        line: dict[str, Any] = {
            "step": self.fit.done,
            "loss": round(outcome.loss, 6),
            "psnr": round(outcome.psnr, 3),
            "gaussians": len(self.fit.model),
            "seconds": round(self.seconds, 2),
            "width": outcome.width,
            "height": outcome.height,
        }
        if probe and self.held_out:
            line["test_psnr"] = round(self.fit.probe(self.held_out), 3)
            self.progress.note(
                f"  step {self.fit.done:,}: held-out PSNR {line['test_psnr']:.2f} dB, "
                f"{len(self.fit.model):,} Gaussians, {self.seconds:.0f} s"
            )
        if log is not None:
            log.write(json.dumps(line) + "\n")
            log.flush()

    def _words(self, outcome: Outcome) -> str:
        rate = (self.fit.done - self.first_step) / max(time.perf_counter() - self.stepped, 1e-9)
        left = (self.fit.recipe.steps - self.fit.done) / rate
        return (
            f"loss {outcome.loss:.4f}  PSNR {outcome.psnr:.1f}  {len(self.fit.model):,} Gaussians  "
            f"{rate:.1f} steps/s  {left:.0f} s left  {peak_memory_mb():.0f} MB"
        )

    def _show(self, outcome: Outcome) -> None:
        if self.watch is not None and time.perf_counter() - self.shown > 1.0:
            self.watch(self.fit.model.gaussians.detach(), f"step {self.fit.done:,}, loss {outcome.loss:.4f}")
            self.shown = time.perf_counter()


@contextmanager
def _log_file(folder: Path | None, done: int) -> Iterator[TextIO | None]:
    """``metrics.jsonl``, cut back to the steps that the checkpoint knows."""
    if folder is None:
        yield None
        return
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    with atomic_write(path) as temporary:
        temporary.write_text("".join(line for line in lines if _step(line) <= done))
    with path.open("a") as log:
        yield log


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # half a line: the process died while writing it
