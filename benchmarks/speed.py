"""How long it takes from photos to a scene, and what that costs in quality; writes docs/speed.md.

    python benchmarks/speed.py SET … [--qualities draft standard high] [--rounds 3] [--cold 1] [--many SET …]
    python benchmarks/speed.py [--runs DIR] [--page docs/speed.md] [--note TEXT]

SET is a folder of photos, or has one called images/; cameras that come with it are not looked at. Everything
is ``firstlight fit`` in a process of its own, and what has a JSON file in DIR is not run again: delete the
file to repeat it. Without SET only the page is written.

- Timed: three photos of a set, alone in a folder: there is nothing else that a run could look at. Wall time
  is that of the process, from its start to its end. The photos are those that ``--views 3`` trains on.
- Measured: ``--views 3 --poses train`` on the whole set. The same three photos give cameras and scene; every
  8th photo is then placed against these and aligned to the finished scene, only to be compared with. The time
  of such a run says nothing. Whether its scene is that of the timed runs, byte for byte, is on the page.
- Longer: measured at the standard quality with four times as many steps. Both for each of --seeds.
- Cold (--cold N): timed at the standard quality, each run with an empty NUMBA_CACHE_DIR.
- Many (--many SET …): all photos of a set, timed and measured in one run, every 8th photo held out.

What a recipe is may have changed since a JSON file was written: delete those of an older version.
The status is 1 when a process failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from comparisons import Row, machine_line, mean_and_range, table

from firstlight.capture import load
from firstlight.errors import InputError
from firstlight.files import atomic_write
from firstlight.pipeline import Run
from firstlight.recipes import QUALITIES, STANDARD

DOCS = Path(__file__).resolve().parents[1] / "docs"
VIEWS = 3
LONGER = 4  # times the steps, to tell what the budget costs
STAGES = ("load", "poses", "prepare", "compile", "geometry", "fit", "evaluate", "report")


@dataclass(frozen=True)
class Job:
    """One process to run; ``name`` is that of its files."""

    photos: Path
    kind: str  # timed, measured, longer, cold or many
    quality: str
    round: int = 0
    seed: int = 0

    @property
    def set(self) -> str:
        return self.photos.parent.name if self.photos.name == "images" else self.photos.name

    @property
    def name(self) -> str:
        seed = f"-seed{self.seed}" if self.seed else ""
        return f"{self.set}-{self.kind}-{self.quality}-{self.round}{seed}"


def photos_of(folder: Path) -> Path:
    return folder / "images" if (folder / "images").is_dir() else folder


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Round by round, so that a computer that grows slower does so for all alike."""
    three = [photos_of(folder) for folder in options.sets]
    many = [photos_of(folder) for folder in options.many]
    for number in range(options.rounds):
        for photos in three:
            for quality in options.qualities:
                yield Job(photos, "timed", quality, number)
    for photos in three:
        for quality in options.qualities:
            yield Job(photos, "measured", quality)
        if STANDARD in options.qualities:
            yield Job(photos, "longer", STANDARD)
    for seed in options.seeds:
        for photos in three if STANDARD in options.qualities else []:
            yield Job(photos, "measured", STANDARD, seed=seed)
            yield Job(photos, "longer", STANDARD, seed=seed)
    for number in range(options.cold):
        for photos in three:
            yield Job(photos, "cold", STANDARD, number)
    for photos in many:
        for quality in options.qualities:
            yield Job(photos, "many", quality)


def run(job: Job, folder: Path, extra: Sequence[str]) -> Row | None:
    """What ``job`` measures, from its file or by doing it now; None when its process fails."""
    kept = folder / f"{job.name}.json"
    if not kept.exists():
        row = measure(job, folder, extra)
        if row is None:
            return None
        with atomic_write(kept) as temporary:
            temporary.write_text(json.dumps(row, indent=1) + "\n")
    found: Row = json.loads(kept.read_text())
    print(f"{job.name}: {found['wall']:.1f} s, {found['peak_mb']} MB, PSNR {found['psnr']:.2f}", flush=True)
    return found


def measure(job: Job, folder: Path, extra: Sequence[str]) -> Row | None:
    out, log = folder / job.name, folder / f"{job.name}.log"
    shutil.rmtree(out, ignore_errors=True)  # of a run that was cut short: it has no JSON file
    photos = job.photos
    asked = ["--quality", job.quality, "--seed", str(job.seed), *extra]
    if job.kind in ("timed", "cold"):
        photos = three_of(job.photos, folder / "three" / job.set)
    elif job.kind != "many":
        asked += ["--views", str(VIEWS), "--poses", "train"]
    if job.kind == "longer":
        before = folder / f"{Job(job.photos, 'measured', job.quality, seed=job.seed).name}.json"
        if not before.exists():
            print(f"{job.name}: there is no {before.stem} to be longer than", flush=True)
            return None
        asked += ["--steps", str(LONGER * json.loads(before.read_text())["steps"])]
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as empty:
        if job.kind == "cold":
            environment["NUMBA_CACHE_DIR"] = empty
        wall, peak_mb, status = timed(["fit", str(photos), "--out", str(out), *asked], environment, log)
    if status != 0:
        last = (log.read_text().strip().splitlines() or ["no message"])[-1]
        print(f"{job.name}: ended with {status}: {last}", flush=True)
        return None
    done = Run.open(out)
    return {
        "set": job.set,
        "kind": job.kind,
        "quality": job.quality,
        "round": job.round,
        "seed": job.seed,
        "extra": list(extra),
        "photos": len(done.about["split"]["train"]),
        "held_out": len(done.about["split"]["test"]),
        "wall": round(wall, 2),
        "stages": done.about["timings"],
        "peak_mb": round(peak_mb),
        "planned_mb": done.summary.get("memory_planned_mb"),
        **{name: done.summary[name] for name in ("psnr", "ssim", "steps", "gaussians", "measured_on")},
        "scene": hashlib.sha256((out / "scene.ply").read_bytes()).hexdigest(),
        "machine": done.about["machine"],
        "versions": done.about["versions"],
    }


def three_of(photos: Path, folder: Path) -> Path:
    """A folder of nothing but the photos that ``--views 3`` trains on."""
    capture = load(photos)
    names = [capture.photos[i].name for i in capture.split(views=VIEWS).train]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in names:
        if (folder / Path(name).name).exists():
            raise InputError(f"{photos}: two of its photos are called {Path(name).name}. Rename one.")
        shutil.copy(photos / name, folder / Path(name).name)
    return folder


def timed(arguments: Sequence[str], environment: dict[str, str], log: Path) -> tuple[float, float, int]:
    """Seconds from start to end, the most memory in MB, and the status of a ``firstlight`` command."""
    with log.open("w") as file:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "firstlight", *arguments], env=environment, stdout=file, stderr=file
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    peak = usage.ru_maxrss / 1e6 if sys.platform == "darwin" else usage.ru_maxrss * 1024 / 1e6
    return wall, peak, os.waitstatus_to_exitcode(status)


def psnr_of(fits: Sequence[Row]) -> str:
    return mean_and_range([fit["psnr"] for fit in fits])


def _seconds(fits: Sequence[Row]) -> tuple[str, str, str, str]:
    """How often it was timed, the median, the range, and the most memory."""
    if not fits:
        return "–", "–", "–", "–"
    walls, peak = [fit["wall"] for fit in fits], max(fit["peak_mb"] for fit in fits)
    return str(len(fits)), f"{median(walls):.1f}", f"{min(walls):.1f} … {max(walls):.1f}", str(peak)


class Page:
    """All rows as ``docs/speed.md``."""

    def __init__(self, rows: list[Row], note: str) -> None:
        self.rows, self.note = rows, note
        self.sets = sorted({row["set"] for row in rows})
        self.qualities = [q for q in QUALITIES if any(row["quality"] == q for row in rows)]

    def some(self, kind: str, quality: str, name: str | None = None) -> list[Row]:
        return [
            row
            for row in self.rows
            if row["kind"] == kind and row["quality"] == quality and name in (None, row["set"])
        ]

    def write(self, path: Path) -> None:
        extra = sorted({" ".join(row["extra"]) for row in self.rows} - {""})
        lines = [
            "# How fast",
            "",
            "Written by `benchmarks/speed.py`, whose first lines say how everything is measured; not edited",
            "by hand. Seconds are those of the whole process `firstlight fit`, from its start to its end:",
            "imports, cameras, geometry, scene, numbers and report. Cameras are found in photos as they are;",
            "the scene is fitted to, and compared with, photos shrunk to 640 pixels (draft 400, high 1008).",
            "",
            *dict.fromkeys(map(machine_line, self.rows)),
            *(["", self.note] if self.note else []),
            *(["", f"Also given: `{'`, `'.join(extra)}`."] if extra else []),
            *self._three(),
            *self._stages(),
            *self._cold(),
            *self._many(),
        ]
        with atomic_write(path) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _three(self) -> list[str]:
        head = (
            "set", "quality", "runs", "seconds", "from … to", "peak MB", "steps", "Gaussians", "PSNR",
            "held-out photos", "same scene",
        )  # fmt: skip
        rows = []
        for name in self.sets:
            for quality in self.qualities:
                fits = self.some("timed", quality, name)
                alike = fits or self.some("measured", quality, name)
                if not alike:
                    continue
                rows.append(
                    (
                        name, quality, *_seconds(fits), f"{alike[-1]['steps']:,}",
                        f"{alike[-1]['gaussians']:,}", *self._quality("measured", quality, name, fits),
                    )
                )  # fmt: skip
            rows += [
                (name, f"{STANDARD}, {LONGER} × steps", "–", "–", "–", "–", f"{fits[-1]['steps']:,}",
                 f"{fits[-1]['gaussians']:,}", psnr_of(fits), str(fits[-1]["held_out"]), "–")
                for fits in [self.some("longer", STANDARD, name)] if fits
            ]  # fmt: skip
        if not rows:
            return []
        return [
            "",
            "## Three photos, cameras unknown",
            "",
            "Median seconds. PSNR is over held-out photos, in a run of its own with the same three photos "
            "(mean, and range over seeds where there are several); 'same scene' says whether such a run with "
            "the same seed ended with the timed ones' scene, byte for byte.",
            "",
            *table(head, rows, words=2),
            *self._cost(),
        ]

    def _quality(self, kind: str, quality: str, name: str, fits: list[Row]) -> tuple[str, str, str]:
        measured = self.some(kind, quality, name)
        if not measured:
            return "–", "–", "–"
        same = {fit["scene"] for fit in fits} <= {one["scene"] for one in measured}
        said = ("yes" if same else "no") if fits else "–"
        return psnr_of(measured), str(measured[-1]["held_out"]), said

    def _cost(self) -> list[str]:
        """What the number of steps of the standard quality costs."""
        gains = {}
        for name in self.sets:
            short, long = (
                {fit["seed"]: fit["psnr"] for fit in self.some(kind, STANDARD, name)}
                for kind in ("measured", "longer")
            )
            if both := sorted(short.keys() & long.keys()):
                gains[name] = [long[seed] - short[seed] for seed in both]
        if not gains:
            return []
        each = "; ".join(
            f"{name} {mean(by_seed):+.2f}"
            + (f" ({' '.join(format(gain, '+.2f') for gain in by_seed)})" if len(by_seed) > 1 else "")
            for name, by_seed in gains.items()
        )
        average = mean(mean(by_seed) for by_seed in gains.values())
        return ["", f"{LONGER} × the steps bring {average:+.2f} dB on average: {each}."]

    def _stages(self) -> list[str]:
        kept = [stage for stage in STAGES if any(row["stages"].get(stage) for row in self.rows)]
        rows = []
        for quality in self.qualities:
            for name in self.sets:
                fits = self.some("timed", quality, name)
                if fits:
                    seconds = [median(fit["stages"].get(stage, 0.0) for fit in fits) for stage in kept]
                    rest = median(fit["wall"] - sum(fit["stages"].values()) for fit in fits)
                    rows.append((quality, name, *(f"{s:.1f}" for s in (*seconds, rest))))
        if not rows:
            return []
        head = ("quality", "set", *kept, "the rest")
        told = "Median seconds. 'The rest' is mostly the start of Python and imports."
        return ["", "## Where the time goes", "", told, "", *table(head, rows, words=2)]

    def _cold(self) -> list[str]:
        rows = []
        for name in self.sets:
            fits = self.some("cold", STANDARD, name)
            if fits:
                walls = [fit["wall"] for fit in fits]
                waited = median(fit["stages"].get("compile", 0.0) for fit in fits)
                rows.append((name, str(len(fits)), f"{median(walls):.1f}", f"{waited:.1f}"))
        if not rows:
            return []
        head = ("set", "runs", "seconds", "waited for the compiler")
        told = f"The same three photos at `{STANDARD}`, with no kernel compiled yet."
        return ["", "## First run after installing", "", told, "", *table(head, rows)]

    def _many(self) -> list[str]:
        head = (
            "set", "quality", "photos", "held out", "minutes", "peak MB", "planned MB", "steps", "Gaussians",
            "PSNR",
        )  # fmt: skip
        rows = [
            (
                row["set"], row["quality"], str(row["photos"]), str(row["held_out"]),
                f"{row['wall'] / 60:.1f}", str(row["peak_mb"]), str(row["planned_mb"] or "–"),
                f"{row['steps']:,}", f"{row['gaussians']:,}", f"{row['psnr']:.2f}",
            )
            for name in self.sets for quality in self.qualities for row in self.some("many", quality, name)
        ]  # fmt: skip
        if not rows:
            return []
        told = "Cameras from all photos; PSNR over every 8th, which the fit did not see."
        return ["", "## Many photos, cameras unknown", "", told, "", *table(head, rows, words=2)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--many", nargs="*", type=Path, default=[], help="sets to run with all their photos")
    parser.add_argument("--qualities", nargs="+", choices=QUALITIES, default=list(QUALITIES))
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each set and quality")
    parser.add_argument("--seeds", nargs="*", type=int, default=[], help="more, for measured and longer")
    parser.add_argument("--cold", type=int, default=0, help="runs of each set with nothing compiled")
    parser.add_argument("--runs", type=Path, default=Path("runs/speed"))
    parser.add_argument("--page", type=Path, default=DOCS / "speed.md")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    parser.add_argument("--extra", nargs=argparse.REMAINDER, default=[], help="more for 'firstlight fit'")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    done = [run(job, options.runs, options.extra) is not None for job in jobs(options)]
    files = sorted(options.runs.glob("*.json"), key=lambda path: path.stat().st_mtime)
    rows = [json.loads(path.read_text()) for path in files]
    if rows:
        Page(rows, options.note).write(options.page)
        print(options.page)
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
