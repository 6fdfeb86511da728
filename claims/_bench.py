"""What claims are measured on: small photo sets, short fits, three seeds."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch

from claims.runner import ROOT, Row, judged
from firstlight.capture import load, load_demo
from firstlight.files import atomic_write
from firstlight.fitting import Fitted, Recipe, fit_gaussians
from firstlight.fitting.pictures import as_tensors
from firstlight.geometry import densify, get_provider
from firstlight.losses import psnr
from firstlight.pipeline import prepare
from firstlight.poses import PLACED_FILE, estimate, load_placed, save_placed
from firstlight.recipes import get_recipe
from firstlight.render import render_camera
from firstlight.scene import Cameras, Capture, Gaussians, Similarity, Split
from firstlight.starts import RandomBox

KEPT = ROOT / "runs" / "claims"
MOST = 10_000  # Gaussians, unless a claim says otherwise


@dataclass(frozen=True)
class Effort:
    """How large a claim's experiment is."""

    size: int = 160  # pixels, long side
    steps: int = 1000
    seeds: tuple[int, ...] = (0, 1, 2)
    sets: tuple[str, ...] = ("demo", "fox", "llff-fern")  # those of them that are on this machine

    def recipe(self, name: str) -> Recipe:
        """A recipe at this effort, with at most ``MOST`` Gaussians."""
        return replace(get_recipe(name), steps=self.steps).limited(MOST)


@dataclass(frozen=True, eq=False)
class Bench:
    """A photo set as the fits take it."""

    name: str
    capture: Capture  # without depths: recipes have to find them
    split: Split
    truth: Capture | None = None  # the same photos with exact depths, of the demo
    dense: dict[str, tuple[Capture, float]] = field(default_factory=dict)  # with geometry, and its seconds

    def with_geometry(self, provider: str) -> tuple[Capture, float]:
        """Dense geometry of the training photos, found once for all fits; and how long that took."""
        if provider not in self.dense:
            source = get_provider(provider).make()
            densify(
                self.capture.resized(48), source, photos=self.split.train[:2]
            )  # compiles or loads kernels
            began = time.perf_counter()
            found = densify(self.capture, source, photos=self.split.train)
            self.dense[provider] = found, time.perf_counter() - began
        return self.dense[provider]


def benches(effort: Effort, views: int | None) -> list[Bench]:
    """The sets of ``effort`` that are here, with ``views`` training photos, or all where there are fewer."""
    return [bench for name in effort.sets if (bench := _bench(name, effort.size, views)) is not None]


def _bench(name: str, size: int, views: int | None) -> Bench | None:
    truth = None
    if name == "demo":
        truth = prepare(_demo(), size)
        capture = replace(truth, photos=[replace(photo, depth=None) for photo in truth.photos])
    else:
        folder = Path(os.environ.get("FIRSTLIGHT_DATA", ROOT.parent / "shared" / "data")) / name
        if not folder.is_dir():
            return None
        capture = prepare(load(folder), size)
    split = capture.split()
    if views is not None and views < len(split.train):
        split = capture.split("every8", views)
    return Bench(name, capture, split, truth)


def _demo() -> Capture:
    """The demo with exact cameras and depths, and the sparse points that structure from motion finds."""
    exact, photos = load_demo(with_cameras=True), load_demo()
    folder = KEPT / "demo"
    if (folder / PLACED_FILE).is_file():
        placed = load_placed(folder, photos)
    else:
        placed = estimate(photos)
        folder.mkdir(parents=True, exist_ok=True)
        save_placed(folder, placed)
    names = [photo.name for photo in exact.photos]
    rows = [names.index(photo.name) for photo in placed.capture.photos]
    assert exact.cameras is not None
    assert placed.capture.cameras is not None
    seen = exact.select(rows)
    assert seen.cameras is not None
    to_metres = Similarity.align(placed.capture.cameras.centers, seen.cameras.centers)
    return replace(seen, points=placed.capture.transform(to_metres).points)


class Measured(NamedTuple):
    """What one fit came to."""

    psnr: float  # dB, mean over held-out photos
    train_psnr: float  # dB, mean over training photos
    gaussians: int
    seconds: float  # of the fit, and of dense geometry where the recipe has it


class Trials:
    """Fits of one claim. They are kept in a file until the claim is settled, so that it can be stopped."""

    def __init__(self, claim: str, effort: Effort) -> None:
        self.path, self.effort = KEPT / f"{claim}-{effort.size}-{effort.steps}.json", effort
        self.kept: dict[str, list[float]] = json.loads(self.path.read_text()) if self.path.is_file() else {}

    def values(self, key: str, measure: Callable[[], Sequence[float]]) -> list[float]:
        """What ``measure`` gives, or gave under ``key`` before the claim was stopped."""
        if key not in self.kept:
            self.kept[key] = [float(value) for value in measure()]
            with atomic_write(self.path) as temporary:
                temporary.write_text(json.dumps(self.kept))
        return self.kept[key]

    def value(self, key: str, measure: Callable[[], float]) -> float:
        return self.values(key, lambda: [measure()])[0]

    def fits(self, bench: Bench, arm: str, recipe: Recipe) -> list[Measured]:
        """One fit with each seed."""
        made_of = zlib.crc32(json.dumps(recipe.to_dict(), sort_keys=True).encode())
        key = f"{bench.name}, {len(bench.split.train)} photos, {arm} {made_of:08x}"
        found = [
            self.values(f"{key}, seed {s}", partial(_numbers, bench, recipe, s)) for s in self.effort.seeds
        ]
        return [Measured(a, b, int(c), d) for a, b, c, d in found]

    def settled(self) -> None:
        """The next run of this claim is to measure anew."""
        self.path.unlink(missing_ok=True)


def _numbers(bench: Bench, recipe: Recipe, seed: int) -> Measured:
    return measured(bench, recipe, seed)[0]


def measured(bench: Bench, recipe: Recipe, seed: int) -> tuple[Measured, Fitted]:
    """Fit ``recipe`` to the training photos, and look at all photos."""
    capture, before = (
        (bench.capture, 0.0) if recipe.geometry is None else bench.with_geometry(recipe.geometry)
    )
    # Two steps that are thrown away compile or load the kernels: no arm is to pay for that. Plain Gaussians
    # anywhere need no geometry.
    plain = replace(recipe, start=RandomBox(500), representation=None, steps=2)
    fit_gaussians(bench.capture, plain, bench.split, seed=seed)
    fitted = fit_gaussians(capture, recipe, bench.split, seed=seed)
    cameras = fitted.cameras or capture.cameras
    assert cameras is not None
    held_out, trained = (
        quality(fitted.gaussians, capture, cameras, photos)
        for photos in (bench.split.test, bench.split.train)
    )
    return Measured(held_out, trained, len(fitted.gaussians), fitted.seconds + before), fitted


@torch.no_grad()
def quality(gaussians: Gaussians, capture: Capture, cameras: Cameras, photos: Sequence[int]) -> float:
    """Mean PSNR over ``photos`` in dB."""
    background = None if capture.background is None else torch.tensor(capture.background)
    values = []
    for index in photos:
        photo, mask = as_tensors(capture.photos[index].decode())
        picture, _, _ = render_camera(gaussians, cameras.select([index]), background=background)
        values.append(psnr(picture, photo, mask))
    return fmean(values)


Fits = Mapping[str, Sequence[Measured]]  # set → a fit a seed


def all_fits(
    trials: Trials, sets: Sequence[Bench], arms: Mapping[str, Recipe]
) -> dict[str, dict[str, list[Measured]]]:
    """Arm → set → a fit for each seed."""
    return {
        arm: {bench.name: trials.fits(bench, arm, recipe) for bench in sets} for arm, recipe in arms.items()
    }


def ahead(
    better: Fits, worse: Fits, of: Callable[[Measured], float] = lambda m: m.psnr
) -> dict[str, list[float]]:
    """Set → by how much the one is above the other, seed by seed, in held-out PSNR or what ``of`` gives."""
    return {name: [of(a) - of(b) for a, b in zip(better[name], worse[name], strict=True)] for name in better}


def expect(
    expected: str, found: Mapping[str, Sequence[float]], least: float, unit: str = "dB", digits: int = 2
) -> Row:
    """A row that wants the mean over seeds to be at least ``least`` on each set."""
    words = "; ".join(f"{name} {spread(values, digits)} {unit}" for name, values in found.items())
    return Row(expected, words, judged([fmean(values) >= least for values in found.values()]))


def spread(values: Sequence[float], digits: int = 2) -> str:
    """'+0.31 (+0.25 … +0.40)': mean, least and greatest."""
    mean = f"{fmean(values):+.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):+.{digits}f} … {max(values):+.{digits}f})"


def told(fits: Fits, of: Callable[[Measured], float] = lambda m: m.psnr, digits: int = 2) -> str:
    """Means over seeds, set by set: 'demo 21.30, fox 24.11'."""
    return ", ".join(f"{name} {fmean(map(of, each)):,.{digits}f}" for name, each in fits.items())


def for_the_record(found: Mapping[str, Fits], more: str = "") -> Row:
    """A row of plain numbers, of which nothing was expected."""
    words = [f"{arm}: {told(fits)}" for arm, fits in found.items()]
    return Row("held-out PSNR, for the record", "; ".join([*words, *([more] if more else [])]), "")
