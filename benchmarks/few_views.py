"""What each few-view part is worth: held-out PSNR with and without it, from the same starts.

    python benchmarks/few_views.py DATA --sets llff-fern fountain-p11 --arms plain dropout guide --seeds 0 1 2

DATA is a folder of photo sets, each as ``firstlight fit`` takes it, with cameras. Fits are short and small
(200 pixels, 300 steps): they tell parts that pay from parts that do not, not how good a scene can be. Each
line of the output, and of ``--json FILE``, is one fit; its seconds are those of start and fit.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from firstlight.capture import load
from firstlight.density import Decaying, Fixed, Mcmc
from firstlight.evaluate import psnr, ssim
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
from firstlight.recipes.rates import SHORT
from firstlight.render import render_camera
from firstlight.scene import Capture, Gaussians, Split
from firstlight.starts import InstantStart, PointsOrRandom

LOSSES = (Photometric(), OpacityPenalty(0.01), ScalePenalty(0.01))
STARTS = {
    "dense": Recipe(
        "dense", "", InstantStart(most=12_000), Fixed(), losses=LOSSES, rates=SHORT, sh_degree=1, steps=300
    ),
    "sparse": Recipe(
        "sparse", "", PointsOrRandom(), Mcmc(max_gaussians=10_000, noise=1e5), losses=LOSSES, rates=SHORT,
        sh_degree=1, steps=300,
    ),
}  # fmt: skip
Change = Callable[[Recipe], Recipe]


def plus(*terms: Term, dropout: float = 0.0) -> Change:
    """The recipe with more losses."""
    return lambda recipe: replace(recipe, losses=(*recipe.losses, *terms), dropout=dropout)


ARMS: dict[str, Change] = {
    "plain": lambda recipe: recipe,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=["llff-fern", "fountain-p11", "fox", "kitchen"])
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--max-size", type=int, default=200)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    lines = []
    for name in asked.sets:
        capture = prepare(load(asked.data / name), asked.max_size)
        split = capture.split("every8", asked.views)
        capture = densify(capture, photos=split.train)
        for start in asked.starts:
            for arm in asked.arms:
                for seed in asked.seeds:
                    recipe = replace(ARMS[arm](STARTS[start]), steps=asked.steps)
                    fit_gaussians(capture, replace(recipe, steps=2), split)  # no arm is to pay for compiling
                    began = time.perf_counter()
                    fitted = fit_gaussians(capture, recipe, split, seed=seed)
                    seconds = time.perf_counter() - began
                    db, likeness = quality(fitted.gaussians, capture, split)
                    about = {"set": name, "start": start, "arm": arm, "seed": seed}
                    numbers = {"psnr": round(db, 3), "ssim": round(likeness, 4), "seconds": round(seconds, 1)}
                    lines.append(about | numbers | {"gaussians": len(fitted.gaussians)})
                    print(json.dumps(lines[-1]), flush=True)
    if asked.json is not None:
        asked.json.write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
