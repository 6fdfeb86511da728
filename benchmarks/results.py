"""Fit every photo set of a folder and write what came out of it as a table.

    python benchmarks/results.py SETS [NAME …] [--runs DIR] [--table docs/results.md] [--max-size PX] …

SETS holds one folder a set. Of each, ``images/`` is fitted as a plain folder of photos, without its cameras;
a set without ``images/`` (Blender's layout) as it is. Sets that have a finished run in DIR are not fitted
again, so the table can be grown set by set.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

COLUMNS = (
    "set", "photos", "placed", "size", "steps", "poses s", "fit s", "evaluate s", "all s",
    "Gaussians", "PSNR", "SSIM", "FLIP", "peak MB",
)  # fmt: skip


def photos_of(folder: Path) -> Path:
    """What to hand to ``firstlight fit``: the photos alone, where they stand alone."""
    images = folder / "images"
    return images if images.is_dir() else folder


def fit(folder: Path, runs: Path, extra: list[str]) -> str | None:
    """Run one fit in a process of its own, so that its peak memory is its own. Returns what went wrong."""
    out = runs / folder.name
    command = [sys.executable, "-m", "firstlight", "fit", str(photos_of(folder)), "--out", str(out), *extra]
    if (out / "run.json").exists():
        if json.loads((out / "run.json").read_text()).get("status") == "complete":
            return None
        command.append("--resume")
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def row(folder: Path, run: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    summary, timings = run["summary"], run["timings"]
    placed = len(run["split"]["train"]) + len(run["split"]["test"])
    photo = run["per_photo"][0]
    return (
        folder.name, str(placed + len(run["set_aside"])), str(placed), f"{photo['width']}×{photo['height']}",
        f"{summary['steps']:,}", f"{timings.get('poses', 0):.0f}", f"{timings['fit']:.0f}",
        f"{timings['evaluate']:.0f}", f"{summary['seconds']:.0f}", f"{summary['gaussians']:,}",
        f"{summary['psnr']:.2f}", f"{summary['ssim']:.3f}", f"{summary['flip']:.3f}",
        f"{summary['peak_memory_mb']:.0f}",
    )  # fmt: skip


def page(rows: list[tuple[str, ...]], failed: dict[str, str], run: dict[str, Any], note: str) -> str:
    """The whole of ``docs/results.md``."""
    about = run["machine"]
    lines = [
        "# Results",
        "",
        "Written by `benchmarks/results.py`; not edited by hand. Photos only: firstlight finds the cameras.",
        "PSNR, SSIM and FLIP are means over every 8th photo by name, held out of training and compared",
        "without any colour correction. 'photos' counts the pictures of a set, 'placed' those that got a",
        "camera (views cut from panoramas count singly). Seconds are wall time, with the kernels compiled",
        "before.",
        "",
        f"Machine: {about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB; "
        f"Python {about['python']}, "
        f"firstlight {run['versions']['firstlight']}, torch {run['versions']['torch']}; "
        f"recipe {run['recipe']['name']}, seed {run['seed']}.",
        *(["", note] if note else []),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| --- |" + " ---: |" * (len(COLUMNS) - 1),
        *("| " + " | ".join(cells) + " |" for cells in rows),
    ]
    if failed:
        lines += ["", "Not fitted:", "", *(f"- {name}: {why}" for name, why in failed.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--runs", type=Path, default=Path("runs/results"))
    parser.add_argument("--table", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    options, extra = parser.parse_known_args()
    folders = [options.sets / name for name in options.names] or sorted(
        p for p in options.sets.iterdir() if p.is_dir()
    )
    failed: dict[str, str] = {}
    for folder in folders:
        why = fit(folder, options.runs, extra)
        if why is not None:
            failed[folder.name] = why
    runs = {
        folder: json.loads((options.runs / folder.name / "run.json").read_text())
        for folder in sorted(folders)
        if folder.name not in failed
    }
    if runs:
        rows = [row(folder, run) for folder, run in runs.items()]
        options.table.write_text(page(rows, failed, next(iter(runs.values())), options.note))
    print(options.table.read_text() if runs else failed)


if __name__ == "__main__":
    main()
