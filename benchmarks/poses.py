"""Cameras from few photos: ours beside pycolmap's mappers out of the box, on sets whose cameras are known.

    python benchmarks/poses.py SETS [--sets NAME …] [--views 3 6 12] [--methods NAME …] [--runs DIR]
    python benchmarks/poses.py SETS … --page docs/poses.md --json docs/poses.json [--note TEXT]

SETS holds one folder a set: photos in ``images/``, reference cameras in ``sparse/`` or ``transforms*.json``.
Of each set 3, 6 and 12 photos, evenly spaced by name among those that have a reference, are placed by each
method without looking at the reference. Every measurement is a process of its own, and one that is in DIR
is not made again: delete its file to repeat it. Methods: ``firstlight`` (the default), ``incremental`` and
``global`` (pycolmap's own pipelines with the settings that they come with), and ``firstlight-NAME`` for
another matcher than SIFT (``firstlight fit --matcher NAME``): xfeat, aliked, disk, sift+aliked.

Errors are over pairs of photos: the angle of the relative rotation, and the angle between the directions of
the relative translation. AUC@t is the area under the share of pairs within an angle, up to t, over t; a pair
with a photo that was not placed counts as wrong. 'both' takes the larger of the two angles of each pair.
A method can place a photo wrongly: 'right' counts the photos of the largest group of which every pair is
within 10° in both angles.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pycolmap
import torch

import firstlight
from firstlight.capture import read_reconstruction
from firstlight.errors import InputError
from firstlight.fitting import peak_memory_mb
from firstlight.pipeline import machine, versions
from firstlight.poses import MATCHERS, estimate, structure_from_motion
from firstlight.progress import Silent, Stage
from firstlight.scene import Cameras, Capture, Similarity

VIEWS = (3, 6, 12)
METHODS = ("firstlight", "incremental", "global")
ANGLES = (5, 10)
WRONG = 180.0  # degrees, of a pair that was not placed


class Stopwatch(Silent):
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Stage]:
        began = time.perf_counter()
        with super().stage(title, total) as stage:
            yield stage
        self.add(title, time.perf_counter() - began)

    def add(self, title: str, seconds: float) -> None:
        self.seconds[title] = self.seconds.get(title, 0.0) + seconds


def load_set(folder: Path, views: int) -> Capture:
    """Evenly spaced photos of a set as they come from a camera, with their reference cameras."""
    known = firstlight.load(folder)
    if known.cameras is None:
        raise InputError(f"{folder}: no reference cameras")
    order = sorted(range(len(known)), key=lambda i: known.photos[i].name)
    spaced = np.linspace(0, len(order) - 1, min(views, len(order))).round().astype(int)
    some = replace(known.select([order[i] for i in spaced]), points=None)
    if not (folder / "images").is_dir():
        return some
    photos = {Path(photo.name).name: photo for photo in firstlight.load(folder / "images").photos}
    return replace(some, photos=[photos[Path(p.name).name] for p in some.photos])


def place(
    capture: Capture, method: str, folder: Path, watch: Stopwatch
) -> tuple[dict[str, int], Cameras | None]:
    """Row of each placed photo among the cameras that a method found."""
    if method.startswith("firstlight"):
        try:
            matcher = MATCHERS[method.removeprefix("firstlight-")] if "-" in method else MATCHERS["sift"]
            method_of = partial(structure_from_motion, matcher=matcher)
            found = estimate(replace(capture, cameras=None), method=method_of, progress=watch).capture
        except InputError as error:
            print(error, file=sys.stderr)
            return {}, None
    else:
        photos = folder / "images" if (folder / "images").is_dir() else folder
        names = [photo.name for photo in capture.photos]
        model = plain_pycolmap(photos, names, capture.photos[0].panorama, method, watch)
        if model is None:
            return {}, None
        placed = [name for name in names if name in {image.name for image in model.images.values()}]
        cameras, _ = read_reconstruction(model, placed)
        return {name: i for i, name in enumerate(placed)}, cameras
    return {photo.name: i for i, photo in enumerate(found.photos)}, found.cameras


def plain_pycolmap(
    photos: Path, names: list[str], panorama: bool, method: str, watch: Stopwatch
) -> pycolmap.Reconstruction | None:
    """The largest model of COLMAP's own pipeline; that photos are panoramas is all that it is told."""
    pycolmap.logging.minloglevel = 3
    reader = pycolmap.ImageReaderOptions()
    if panorama:
        reader.camera_model = "EQUIRECTANGULAR"
    with tempfile.TemporaryDirectory() as temporary:
        database, out = Path(temporary) / "database.db", Path(temporary) / "out"
        out.mkdir()
        began = time.perf_counter()
        pycolmap.extract_features(database, photos, image_names=names, reader_options=reader)
        watch.add("Features", time.perf_counter() - began)
        began = time.perf_counter()
        pycolmap.match_exhaustive(database)
        watch.add("Matching", time.perf_counter() - began)
        began = time.perf_counter()
        mapping = pycolmap.incremental_mapping if method == "incremental" else pycolmap.global_mapping
        models = mapping(database, photos, out)
        watch.add("Placing photos", time.perf_counter() - began)
    return max(models.values(), key=lambda one: int(one.num_reg_images()), default=None)


def pair_errors(
    reference: Cameras, place: Sequence[int | None], found: Cameras | None
) -> list[tuple[float, float]]:
    """Degrees by which relative rotation and direction of translation are off, for each pair of photos."""
    errors = []
    for i, j in combinations(range(len(reference)), 2):
        a, b = place[i], place[j]
        if found is None or a is None or b is None:
            errors.append((WRONG, WRONG))
            continue
        right, ours = relative(reference, i, j), relative(found, a, b)
        cosine = float(np.trace(ours[:3, :3].T @ right[:3, :3]) - 1) / 2
        u, v = ours[:3, 3], right[:3, 3]
        along = u @ v / max(float(np.linalg.norm(u) * np.linalg.norm(v)), 1e-12)
        errors.append((degrees(cosine), degrees(float(along))))
    return errors


def degrees(cosine: float) -> float:
    return float(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))


def relative(cameras: Cameras, i: int, j: int) -> npt.NDArray[np.float64]:
    views = cameras.viewmats.double().numpy()
    return np.asarray(views[j] @ np.linalg.inv(views[i]))


def auc(errors: Sequence[float], limit: float) -> float:
    """Area under the share of ``errors`` within an angle, from 0 to ``limit``, over ``limit``."""
    return float(np.mean([max(0.0, 1 - error / limit) for error in errors]))


def placed_right(photos: int, errors: Sequence[float], limit: float = 10.0) -> int:
    """Photos in the largest group in which every pair is within ``limit`` degrees; 0 where no pair is."""
    within = {
        pair for pair, error in zip(combinations(range(photos), 2), errors, strict=True) if error <= limit
    }
    groups = [set(pair) for pair in within]  # each grows by one photo at a time: few photos, few groups
    size = 0
    while groups:
        size = len(groups[0])
        grown = {
            frozenset(group | {i})
            for group in groups
            for i in range(photos)
            if i not in group and all((min(i, j), max(i, j)) in within for j in group)
        }
        groups = [set(group) for group in grown]
    return size


def trajectory_error(reference: Cameras, place: Sequence[int | None], found: Cameras | None) -> float | None:
    """Root mean square distance of the placed cameras after alignment, over the reach of the reference."""
    rows = [i for i, at in enumerate(place) if at is not None]
    if found is None or len(rows) < 3:
        return None
    there = reference.centers.double()
    a = found.centers.double()[[at for at in place if at is not None]]
    off = (Similarity.align(a, there[rows]).apply(a) - there[rows]).norm(dim=-1)
    return float(off.square().mean().sqrt() / (there - there.mean(0)).norm(dim=-1).max())


def measure(folder: Path, views: int, method: str) -> dict[str, Any]:
    """One measurement, in this process."""
    capture = load_set(folder, views)
    assert capture.cameras is not None
    watch = Stopwatch()
    began = time.perf_counter()
    rows, found = place(capture, method, folder, watch)
    seconds = time.perf_counter() - began
    at = [rows.get(photo.name) for photo in capture.photos]
    errors = pair_errors(capture.cameras, at, found)
    kinds = {
        "rotation": [turn for turn, _ in errors],
        "translation": [shift for _, shift in errors],
        "both": [max(pair) for pair in errors],
    }
    return {
        "set": folder.name,
        "views": views,
        "method": method,
        "photos": len(capture),
        "placed": sum(row is not None for row in at),
        "right": placed_right(len(capture), kinds["both"]),
        **{f"{kind}_auc{t}": auc(e, t) for kind, e in kinds.items() for t in ANGLES},
        "trajectory": trajectory_error(capture.cameras, at, found),
        "seconds": round(seconds, 2),
        "stages": {title: round(s, 2) for title, s in watch.seconds.items()},
        "peak_mb": round(peak_memory_mb()),
        "threads": torch.get_num_threads(),
    }


def has_reference(folder: Path) -> bool:
    return (folder / "sparse").is_dir() or any(folder.glob("transforms*.json"))


def run_all(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every measurement that is asked for, each in a process of its own; those made before are read."""
    folders = [options.folder / name for name in options.sets] or sorted(
        p for p in options.folder.iterdir() if p.is_dir() and has_reference(p)
    )
    options.runs.mkdir(parents=True, exist_ok=True)
    found = []
    for folder in folders:
        for views in options.views:
            for method in options.methods:
                path = options.runs / f"{folder.name}-{views}-{method}.json"
                if not path.exists():
                    _run_one(folder, views, method, path)
                if path.exists():
                    found.append(json.loads(path.read_text()))
                    print(line(found[-1]), flush=True)
    return found


def _run_one(folder: Path, views: int, method: str, path: Path) -> None:
    one = [sys.executable, __file__, str(folder), "--one", str(views), method, "--json", str(path)]
    done = subprocess.run(one, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{folder.name} {views} {method}: process ended with {done.returncode}: {last}", flush=True)


def line(one: dict[str, Any]) -> str:
    off = "–" if one["trajectory"] is None else f"{one['trajectory']:.4f}"
    return (
        f"{one['set']:16} {one['views']:2} {one['method']:12} {one['placed']:2}/{one['photos']:2} "
        f"R {one['rotation_auc5']:.3f} T {one['translation_auc5']:.3f} both {one['both_auc5']:.3f} "
        f"{one['both_auc10']:.3f} ATE {off} {one['seconds']:.1f} s {one['peak_mb']} MB {one['stages']}"
    )


def page(rows: list[dict[str, Any]], note: str) -> str:
    """The whole of ``docs/poses.md``."""
    about, packages = machine(), versions()
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = [
        "# Cameras from few photos",
        "",
        "Written by `benchmarks/poses.py`; not edited by hand. What the numbers are is said at its top: AUC",
        "over pairs of photos, where pairs with a photo that was not placed count as wrong; 'right' counts",
        "the photos of the largest group of which every pair is within 10° of the reference, 'trajectory' is",
        "the root mean square distance of the placed cameras after alignment, as a share of the reference's",
        "reach (of three photos or more). A few evenly spaced photos of a walk around something may share",
        "nothing: no method can place them. Most references are themselves computed, by pycolmap from all",
        "photos of a set. `firstlight-NAME` is `firstlight fit --matcher NAME` (extras).",
        "",
        f"Machine: {about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB; "
        f"Python {about['python']}, "
        f"firstlight {packages['firstlight']}, pycolmap {packages['pycolmap']}; seed 0.",
        *(["", note] if note else []),
        "",
        "## Means over sets that every method was run on",
        "",
        _head("views", "method", "sets", "placed", "right", *_AUCS, "seconds", "peak MB"),
    ]
    for views in sorted({row["views"] for row in rows}):
        some = [row for row in rows if row["views"] == views]
        common = set.intersection(*({r["set"] for r in some if r["method"] == m} for m in methods))
        for method in methods:
            mine = [row for row in some if row["method"] == method and row["set"] in common]
            if mine:
                lines.append(_row(str(views), method, str(len(mine)), *_mean_cells(mine)))
    lines += [
        "",
        "## Set by set",
        "",
        _head("set", "views", "method", "placed", "right", *_AUCS, "trajectory", "seconds", "peak MB"),
    ]
    for row in sorted(rows, key=lambda r: (r["set"], r["views"], methods.index(r["method"]))):
        lines.append(_row(row["set"], str(row["views"]), row["method"], *_cells(row)))
    lines += ["", "## Seconds by stage", "", *_stage_lines(rows, methods)]
    return "\n".join(lines) + "\n"


def _stage_lines(rows: list[dict[str, Any]], methods: list[str]) -> list[str]:
    """Mean seconds of each stage, over the sets of each method."""
    stages = list(dict.fromkeys(stage for row in rows for stage in row["stages"]))
    lines = [_head("views", "method", *stages)]
    for views, method in product(sorted({row["views"] for row in rows}), methods):
        mine = [row["stages"] for row in rows if row["views"] == views and row["method"] == method]
        spent = [np.mean([one.get(stage, 0.0) for one in mine]) if mine else 0.0 for stage in stages]
        lines.append(_row(str(views), method, *(f"{s:.1f}" if s else "–" for s in spent)))
    return lines


_AUCS = tuple(f"{kind} AUC@{t}" for kind in ("rotation", "translation", "both") for t in ANGLES)


def _auc_cells(row: dict[str, Any]) -> list[str]:
    return [f"{row[f'{kind}_auc{t}']:.3f}" for kind in ("rotation", "translation", "both") for t in ANGLES]


def _mean_cells(rows: list[dict[str, Any]]) -> list[str]:
    keys = [f"{kind}_auc{t}" for kind in ("rotation", "translation", "both") for t in ANGLES]
    mean = {key: float(np.mean([row[key] for row in rows])) for key in [*keys, "seconds"]}
    placed, right = (np.mean([row[key] / row["photos"] for row in rows]) for key in ("placed", "right"))
    peak = max(row["peak_mb"] for row in rows)
    return [f"{placed:.0%}", f"{right:.0%}", *_auc_cells(mean), f"{mean['seconds']:.1f}", str(peak)]


def _cells(row: dict[str, Any]) -> list[str]:
    off = "–" if row["trajectory"] is None else f"{row['trajectory']:.4f}"
    placed, right = (f"{row[key]}/{row['photos']}" for key in ("placed", "right"))
    return [placed, right, *_auc_cells(row), off, f"{row['seconds']:.1f}", str(row["peak_mb"])]


def _head(*names: str) -> str:
    return _row(*names) + "\n|" + " --- |" * len(names)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--views", nargs="*", type=int, default=list(VIEWS))
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--runs", type=Path, default=Path("runs/poses"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    parser.add_argument("--one", nargs=2, metavar=("VIEWS", "METHOD"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        views, method = options.one
        options.json.write_text(json.dumps(measure(options.folder, int(views), method)) + "\n")
        return
    rows = run_all(options)
    if options.json:
        about = {"machine": machine(), "versions": versions(), "note": options.note}
        options.json.write_text(json.dumps({**about, "runs": rows}, indent=1) + "\n")
    if options.page and rows:
        options.page.write_text(page(rows, options.note))


if __name__ == "__main__":
    main()
