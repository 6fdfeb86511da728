"""What each few-view part is worth: held-out PSNR with and without it, and of plain 3DGS, from equal starts.

    python benchmarks/few_views.py PHOTOS … [--views 3 6 9] [--seeds 0 1 2] [--starts …] [--arms …] …
    python benchmarks/few_views.py [--runs DIR] [--note TEXT]

PHOTOS as for ``benchmarks/results.py``. Fits are small (200 pixels, and a few hundred steps unless --steps
says otherwise): they tell parts that pay from parts that do not, not how good a scene can be. Each is kept
below DIR; run it again to go on where it was stopped, or with more sets, numbers of photos, arms and seeds.
Fits that were made with other settings of an arm are made anew. After each set, and without PHOTOS at once,
``docs/few-views.md`` is written from what there is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from comparisons import Row, kept, kept_below, placed, set_name
from few_views_page import PAPER, PLAIN, page
from plain import plain_3dgs

from firstlight.density import Decaying, Fixed, Mcmc
from firstlight.errors import InputError
from firstlight.evaluate import psnr, ssim
from firstlight.files.atomic import atomic_write
from firstlight.fitting import (
    Accord,
    Binocular,
    CoTraining,
    DepthCorrelation,
    DepthNormals,
    DepthRegularisation,
    DepthTeacher,
    Mollification,
    NormalTeacher,
    OpacityPenalty,
    Photometric,
    Recipe,
    ScalePenalty,
    StartGuidance,
    Term,
    fit_gaussians,
)
from firstlight.geometry import densify
from firstlight.pipeline import prepare
from firstlight.recipes import get_recipe
from firstlight.recipes.rates import SHORT
from firstlight.render import render_camera
from firstlight.scene import Capture, Gaussians, Split
from firstlight.starts import InstantStart, PointsOrRandom

DOCS = Path(__file__).resolve().parents[1] / "docs"
LOSSES = (Photometric(), OpacityPenalty(0.01), ScalePenalty(0.01))
DENSE = Recipe(
    "dense", "", InstantStart(most=12_000), Fixed(), losses=LOSSES, rates=SHORT, sh_degree=1, steps=300
)
SPARSE = Recipe(
    "sparse", "", PointsOrRandom(), Mcmc(max_gaussians=10_000, noise=1e5), losses=LOSSES, rates=SHORT,
    sh_degree=1, steps=300,
)  # fmt: skip
# What parts are tried on, by the number of training photos.
STARTS: dict[str, Callable[[int], Recipe]] = {
    "default": lambda views: get_recipe("default").for_photos(views),
    "dense": lambda views: DENSE,
    "sparse": lambda views: SPARSE,
}
Change = Callable[[Recipe], Recipe]


def plus(*terms: Term, dropout: float | None = None) -> Change:
    """The recipe with more losses."""

    def change(recipe: Recipe) -> Recipe:
        share = recipe.dropout if dropout is None else dropout
        return replace(recipe, losses=(*recipe.losses, *terms), dropout=share)

    return change


# The first two are what all others are measured against.
ARMS: dict[str, Change] = {
    PAPER: plain_3dgs,
    PLAIN: lambda recipe: recipe,
    "3dgs-short-rates": lambda recipe: replace(plain_3dgs(recipe), rates=SHORT),
    "no dropout": plus(dropout=0.0),
    "dropout": plus(dropout=0.2),
    "teacher": plus(DepthTeacher(0.1)),
    "depth-reg": plus(DepthRegularisation(0.1, 1.0)),
    "correlation": plus(DepthCorrelation()),
    "binocular": plus(Binocular()),
    "normals": plus(DepthNormals()),
    "normal-teacher": plus(NormalTeacher()),
    "guide": plus(StartGuidance()),
    "mollified": lambda recipe: replace(recipe, mollification=Mollification()),
    "decaying": lambda recipe: replace(recipe, density=Decaying(recipe.density)),
    "twin": lambda recipe: replace(plus(Accord())(recipe), co_training=CoTraining()),
    "correlation+dropout": plus(DepthCorrelation(), dropout=0.2),
    "guide+dropout": plus(StartGuidance(), dropout=0.2),
    "guide+correlation+dropout": plus(StartGuidance(), DepthCorrelation(), dropout=0.2),
}


@dataclass(frozen=True)
class Trial:
    """One fit."""

    start: str
    arm: str
    views: int
    steps: int | None  # None: as many as the start's recipe has

    @property
    def recipe(self) -> Recipe:
        base = replace(STARTS[self.start](self.views), few=None)
        base = base if self.steps is None else replace(base, steps=self.steps)
        return ARMS[self.arm](base)

    @property
    def again(self) -> bool:
        """Whether it is another arm by another name, as dropout is where the recipe has it anyway."""
        before = list(ARMS)[: list(ARMS).index(self.arm)]
        return any(replace(self, arm=arm).recipe == self.recipe for arm in before)


@torch.no_grad()
def quality(gaussians: Gaussians, capture: Capture, split: Split) -> tuple[float, float]:
    """Mean PSNR in dB and SSIM over held-out photos."""
    assert capture.cameras is not None
    found = []
    for index in split.test:
        rendered, _, _ = render_camera(gaussians, capture.cameras.select([index]))
        photo = capture.photos[index].decode()
        found.append([metric(rendered, photo.rgb, photo.mask) for metric in (psnr, ssim)])
    values = torch.tensor(found).mean(0)
    return float(values[0]), float(values[1])


def measured(capture: Capture, split: Split, recipe: Recipe, seed: int) -> Row:
    gaussians = fit_gaussians(capture, recipe, split, seed=seed).gaussians
    db, likeness = quality(gaussians, capture, split)
    return {"psnr": round(db, 3), "ssim": round(likeness, 4), "gaussians": len(gaussians)}


def fits(
    photos: str, views: int, seed: int, trials: Sequence[Trial], options: argparse.Namespace
) -> Iterator[Row]:
    """Of one set, number of photos and seed; photos are read only where a fit is missing."""
    name, ready = set_name(photos), list[tuple[Capture, Split]]()

    def measure(recipe: Recipe) -> Row:
        if not ready:
            capture = prepare(placed(photos, options.runs / name), options.max_size)
            split = capture.split("every8", views)
            ready.append((densify(capture, photos=split.train), split))
        return measured(*ready[0], recipe, seed)

    for trial in trials:
        recipe = trial.recipe
        about: dict[str, Any] = {"set": name, "start": trial.start, "arm": trial.arm, "seed": seed}
        about |= {"views": views, "max_size": options.max_size, "steps": recipe.steps}
        about |= {"own_steps": trial.steps is None}
        words = "-".join(map(str, (name, *list(about.values())[1:7]))).replace(" ", "_")
        yield kept(options.runs / "fits" / f"{words}.json", about, recipe, partial(measure, recipe))


def of_today(row: Row) -> bool:
    """Whether the fit was of the arm as it is now."""
    if row["start"] not in STARTS or row["arm"] not in ARMS:
        return False
    steps = None if row["own_steps"] else row["steps"]
    recipe = Trial(row["start"], row["arm"], row["views"], steps).recipe
    return recipe.has_method(row["settings"])


def write_page(runs: Path, file: Path, note: str) -> None:
    rows = [row for row in kept_below(runs / "fits") if of_today(row)]
    with atomic_write(file) as temporary:
        temporary.write_text(page(rows, list(STARTS), list(ARMS), note), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--views", nargs="+", type=int, default=[3])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--steps", type=int, help="of each fit; by default the start's own")
    parser.add_argument("--max-size", type=int, default=200)
    parser.add_argument("--runs", type=Path, default=Path("runs/few-views"))
    parser.add_argument("--page", type=Path, default=DOCS / "few-views.md")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    options = parser.parse_args()
    for seed in options.seeds:  # all sets get their first seed before any gets a second
        for photos in options.photos:
            for views in options.views:
                every = (Trial(s, arm, views, options.steps) for s in options.starts for arm in options.arms)
                trials = [trial for trial in every if not trial.again]
                try:
                    for row in fits(photos, views, seed, trials, options):
                        words = (row["set"], views, "photos", row["start"], row["arm"], "seed", seed)
                        print(*words, f"{row['psnr']:.2f} dB", flush=True)
                except InputError as error:  # of this set: the others are not to wait for it
                    print(f"{set_name(photos)}, {views} photos: {error}", flush=True)
                write_page(options.runs, options.page, options.note)
    if not options.photos:
        write_page(options.runs, options.page, options.note)
    print(options.page)


if __name__ == "__main__":
    main()
