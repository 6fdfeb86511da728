"""What came out of a comparison: one row for each recipe and number of views, over its seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from firstlight.comparison._cameras import came_with_photos
from firstlight.comparison._plan import Plan, Trial, plan_of
from firstlight.comparison._trial import Failure, Skipped, finished_run
from firstlight.errors import InputError
from firstlight.evaluate import SEEN
from firstlight.files.atomic import atomic_write
from firstlight.pipeline import Run

RESULTS_FILE = "compare.json"
METRICS = (
    "psnr", "ssim", "flip", "lpips", *SEEN, "seconds", "steps", "gaussians", "megabytes", "peak_memory_mb",
)  # fmt: skip
# Stages of run.json's timings that make a scene. Not among them: waiting for the compiler, which is once on a
# computer, measuring, in which cameras may be aligned, and the report.
MAKING = ("load", "poses", "prepare", "geometry", "fit")

Outcome = Run | Failure | Skipped  # of a trial


@dataclass(frozen=True)
class Spread:
    """A number over the seeds."""

    mean: float
    low: float
    high: float
    values: tuple[float, ...] = ()  # of each trial, in the order of the row's

    @classmethod
    def over(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.fmean(values), min(values), max(values), tuple(values))

    def words(self, digits: int) -> str:
        """'21.30', or '21.30 ± 0.12' where seeds differ by as much as is shown."""
        half = (self.high - self.low) / 2
        said = f"{self.mean:,.{digits}f}"
        return said if round(half, digits) == 0 else f"{said} ± {half:,.{digits}f}"


@dataclass(frozen=True)
class Row:
    """One recipe with one number of training views."""

    recipe: str
    views: int | None
    trials: tuple[Trial, ...]  # that have numbers
    numbers: dict[str, Spread] = field(default_factory=dict)  # by METRICS; absent where nothing is known
    failures: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()  # why trials were not begun

    @property
    def state(self) -> str:
        """In a word why there is no number."""
        return "failed" if self.failures else "skipped" if self.skipped else "not run yet"

    @property
    def why(self) -> str:
        """The same with the reasons, which seeds may share."""
        reasons = "; ".join(dict.fromkeys(self.failures or self.skipped))
        return f"{self.state}: {reasons}" if reasons else self.state

    def words(self, metric: str, digits: int) -> str:
        return self.numbers[metric].words(digits) if metric in self.numbers else "–"


@dataclass(frozen=True)
class Comparison:
    """A comparison's folder and its table."""

    folder: Path
    plan: Plan
    rows: list[Row]
    pose_seconds: tuple[float, ...]  # for the cameras: of all trials, or of each of the plan's views

    @staticmethod
    def open(folder: str | Path) -> Comparison:
        """Read ``compare.json``, which may still be growing. InputError when it cannot be read.

        Numbers are those of the runs, where these are there: ``compare.json`` may be of a version that took
        others from them.
        """
        path = Path(folder) / RESULTS_FILE
        try:
            stored = json.loads(path.read_text())
            rows = [_anew(_row(row), path.parent) for row in stored["rows"]]
            seconds = stored["pose_seconds"]  # one number in early versions
            seconds = tuple(map(float, seconds if isinstance(seconds, list) else [seconds]))
            return Comparison(path.parent, plan_of(stored["plan"]), rows, seconds)
        except FileNotFoundError as error:
            raise InputError(f"{folder}: holds no comparison (it has no {RESULTS_FILE}).") from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: was not written by this version of 'firstlight compare'.") from error

    @property
    def page(self) -> Path:
        return self.folder / "compare.html"

    def save(self) -> None:
        """Write ``compare.json``."""
        content = {
            "plan": asdict(self.plan),
            "pose_seconds": self.pose_seconds,
            "rows": [asdict(row) for row in self.rows],
        }
        with atomic_write(self.folder / RESULTS_FILE) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")

    def cameras(self) -> str:
        """Where they came from, in a few words."""
        if came_with_photos(self.folder, self.plan):
            return "came with the photos"
        if self.plan.poses == "all":
            return f"found with every photo in {self.pose_seconds[0]:.0f} s"
        spent = zip(self.plan.views, self.pose_seconds, strict=True)
        each = ", ".join(f"{seconds:.0f} s for {views or 'all'}" for views, seconds in spent)
        return f"found from training photos alone in {each}"

    def ranked(self, views: int | None) -> list[Row]:
        """Rows of one number of views, best PSNR first, those without numbers last."""
        rows = [row for row in self.rows if row.views == views]
        return sorted(rows, key=lambda row: -row.numbers["psnr"].mean if "psnr" in row.numbers else 1e9)

    def table(self, width: int | None = None) -> Table:
        """For a screen of ``width`` characters; why numbers are missing stands below.

        Where not all columns fit, those that say least are left out: compare.json and the page have them.
        """
        columns = known_columns(self.rows) or list(COLUMNS[:1])
        table = self._table(columns)
        for least in DISPENSABLE:
            if width is None or WIDE.measure(table).maximum <= width:
                break
            columns = [column for column in columns if column.key != least]
            table = self._table(columns)
        reasons = [f"{row.recipe}: {row.why}" for row in self.rows if row.failures or row.skipped]
        table.caption = Text("\n".join(dict.fromkeys(reasons)), justify="left") if reasons else None
        return table

    def _table(self, columns: Sequence[Column]) -> Table:
        table = Table("views")
        for name in ("recipe", *(column.title for column in columns)):
            table.add_column(name, no_wrap=True)
        for views in self.plan.views:
            for row in self.ranked(views):
                cells = [row.words(column.key, column.digits) for column in columns]
                if not row.numbers:
                    cells[0] = row.state
                table.add_row(str(views or "all"), row.recipe, *cells)
            table.add_section()
        return table


def _row(stored: dict[str, Any]) -> Row:
    numbers = {
        metric: Spread(**{**spread, "values": tuple(spread.get("values", ()))})
        for metric, spread in stored["numbers"].items()
    }
    trials = tuple(Trial(**trial) for trial in stored["trials"])
    failures, skipped = (tuple(stored.get(name, ())) for name in ("failures", "skipped"))
    return Row(stored["recipe"], stored["views"], trials, numbers, failures, skipped)


def _anew(row: Row, folder: Path) -> Row:
    """With the numbers of its runs; as it is where one of them is missing."""
    runs = [finished_run(folder / "trials" / trial.folder) for trial in row.trials]
    there = [run for run in runs if run is not None]
    return replace(row, numbers=_spreads(there)) if there and len(there) == len(runs) else row


class Column(NamedTuple):
    """A metric in a table for people."""

    key: str
    title: str
    digits: int
    more: bool = False  # is better


COLUMNS = (
    Column("psnr", "PSNR dB", 2, more=True),
    Column("psnr_seen", "PSNR seen", 2, more=True),
    Column("ssim", "SSIM", 3, more=True),
    Column("flip", "FLIP", 3),
    Column("lpips", "LPIPS", 3),
    Column("seconds", "seconds", 0),
    Column("gaussians", "Gaussians", 0),
    Column("megabytes", "ply MB", 1),
    Column("peak_memory_mb", "peak MB", 0),
)
# What a narrow screen does without, the first of them first.
DISPENSABLE = ("peak_memory_mb", "megabytes", "flip", "lpips", "psnr_seen", "ssim", "gaussians")
WIDE = Console(width=1000)  # to measure tables with
SEEN_WORDS = (
    "PSNR seen is over those pixels alone whose surface a training photo shows too, by each scene's own depth"
)


def known_columns(rows: list[Row]) -> list[Column]:
    """Without those that no row has a number for, as LPIPS where its weights are not at hand."""
    return [column for column in COLUMNS if any(column.key in row.numbers for row in rows)]


def numbers_of(run: Run) -> dict[str, float]:
    """The METRICS of one finished trial; what it did not measure is absent.

    Seconds are those of making the scene (``making_seconds``), not the summary's, which are of all that the
    run did.
    """
    known = dict(run.summary) | {"seconds": making_seconds(run.about)}
    scene = run.folder / "scene.ply"
    known["megabytes"] = scene.stat().st_size / 1e6 if scene.exists() else None
    return {name: float(known[name]) for name in METRICS if isinstance(known.get(name), int | float)}


def making_seconds(about: Mapping[str, Any]) -> float | None:
    """Wall time of making the scene, of what ``run.json`` says; None where it does not."""
    timings = about.get("timings")
    if not isinstance(timings, dict) or "fit" not in timings:
        return None
    return round(sum(float(timings.get(stage, 0.0)) for stage in MAKING), 2)


def _spreads(runs: Sequence[Run]) -> dict[str, Spread]:
    """By METRICS, of what all of the runs measured."""
    measured = [numbers_of(run) for run in runs]
    return {
        metric: Spread.over([numbers[metric] for numbers in measured])
        for metric in METRICS
        if measured and all(metric in numbers for numbers in measured)
    }


def make_row(recipe: str, views: int | None, outcomes: Mapping[Trial, Outcome]) -> Row:
    """Summary of the trials of one recipe with one number of views."""
    mine = {t: o for t, o in outcomes.items() if t.recipe == recipe and t.views == views}
    runs = {trial: outcome for trial, outcome in mine.items() if isinstance(outcome, Run)}
    failures, skipped = (
        tuple(outcome.reason for outcome in mine.values() if isinstance(outcome, kind))
        for kind in (Failure, Skipped)
    )
    return Row(recipe, views, tuple(runs), _spreads(list(runs.values())), failures, skipped)
