"""InstantSplat: Unbounded Sparse-view Pose-free Gaussian Splatting in 40 Seconds (Fan et al. 2024).

6 photos at 128 pixels, 500 steps. Cameras are first turned by 1° and shifted by 2 % of the scene's
depth, each its own way, and dense geometry is found from these; in every arm the cameras of held-out
photos are then aligned to the frozen scene. The error of the trajectory is the root mean square distance
of the training cameras after a similarity, over their reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

import torch

from claims._bench import (
    Bench,
    Effort,
    Fits,
    Measured,
    Trials,
    ahead,
    benches,
    expect,
    for_the_record,
    quality,
)
from claims.runner import Row, judged
from firstlight.fitting import Recipe, align_cameras, fit_gaussians
from firstlight.fitting.cameras import move
from firstlight.geometry import densify
from firstlight.recipes import get_recipe
from firstlight.scene import Cameras, Capture, Gaussians, Similarity
from firstlight.starts._sizes import sizes
from firstlight.starts.pixelwise import on_rays
from firstlight.starts.random_box import viewing_distances

TURN, SHIFT = 1.0, 0.02  # degrees, of the depth

EFFORT = Effort(size=128, steps=500, sets=("demo", "fox"))


@dataclass(frozen=True)
class EveryPixel:
    """``InstantStart`` without its pruning: also pixels whose surface a surer photo shows."""

    opacity: float = 0.1

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        cameras, places, colours = capture.cameras, [], []
        assert cameras is not None
        for index, photo in enumerate(capture.photos):
            assert photo.depth is not None
            depth = torch.from_numpy(photo.depth())
            row, column = (depth > 0).nonzero().unbind(-1)
            places.append(on_rays(cameras.select([index]), column, row, depth[row, column]))
            colours.append(torch.from_numpy(photo.decode().rgb)[row, column].float() / 255)
        xyz = torch.cat(places)
        widths = sizes(xyz, cameras, neighbours=3, scale=1.0)
        return Gaussians.isotropic(xyz.float(), torch.cat(colours), widths.float(), self.opacity)


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, sets = Trials("instantsplat", effort), benches(effort, 6)
    moving = replace(get_recipe("instantsplat"), steps=effort.steps)
    arms = {
        "cameras stay": replace(moving, cameras=None),
        "cameras move": moving,
        "every pixel": replace(moving, start=EveryPixel()),
    }
    found: dict[str, Fits] = {}
    errors: dict[str, dict[str, float]] = {}
    for arm, recipe in arms.items():
        fits: dict[str, list[Measured]] = {}
        for bench in sets:
            kept = [
                trials.values(
                    f"{bench.name}, {arm}, seed {seed}",
                    partial(shaken, bench, recipe, seed),
                )
                for seed in effort.seeds
            ]
            fits[bench.name] = [Measured(a, b, int(c), d) for a, b, c, d, _ in kept]
            errors.setdefault(arm, {})[bench.name] = fmean(each[-1] for each in kept)
        found[arm] = fits
    stayed, moved = errors["cameras stay"], errors["cameras move"]
    yield Row(
        "moving cameras at least halves the error of the trajectory",
        "; ".join(f"{name} {moved[name]:.4f} from {stayed[name]:.4f}" for name in moved),
        judged([moved[name] <= stayed[name] / 2 for name in moved]),
    )
    yield expect(
        "moving cameras is worth at least 2 dB", ahead(found["cameras move"], found["cameras stay"]), 2.0
    )
    fewer = {
        name: 1 - fmean(f.gaussians for f in fits) / fmean(f.gaussians for f in found["every pixel"][name])
        for name, fits in found["cameras move"].items()
    }
    lost = ahead(found["every pixel"], found["cameras move"])
    yield Row(
        "leaving out what a surer photo shows spares at least 30 % of the Gaussians for less than 0.2 dB",
        "; ".join(f"{name} {fewer[name]:.0%} fewer, {-fmean(lost[name]):+.2f} dB" for name in fewer),
        judged([fewer[name] >= 0.3 and fmean(lost[name]) < 0.2 for name in fewer]),
    )
    yield for_the_record(found)
    trials.settled()


def shaken(bench: Bench, recipe: Recipe, seed: int) -> tuple[float, float, int, float, float]:
    """``Measured`` from wrong cameras, and the error that these end with."""
    true = bench.capture.cameras
    assert true is not None
    capture = densify(replace(bench.capture, cameras=wrong(true, seed)), photos=bench.split.train)
    fitted = fit_gaussians(capture, recipe, bench.split, seed=seed)
    ends = fitted.cameras or capture.cameras
    assert ends is not None
    aligned = align_cameras(fitted.gaussians, capture, bench.split.test)
    held_out = quality(fitted.gaussians, capture, aligned, bench.split.test)
    trained = quality(fitted.gaussians, capture, ends, bench.split.train)
    off = trajectory_error(ends.select(bench.split.train), true.select(bench.split.train))
    return held_out, trained, len(fitted.gaussians), fitted.seconds, off


def wrong(cameras: Cameras, seed: int) -> Cameras:
    """Each camera turned by ``TURN`` about a random axis and shifted by ``SHIFT`` in a random direction."""
    generator = torch.Generator().manual_seed(seed)
    twists = torch.randn(len(cameras), 2, 3, dtype=torch.float64, generator=generator)
    twists = torch.nn.functional.normalize(twists, dim=-1)
    twists[:, 0] *= torch.tensor(TURN).deg2rad()
    twists[:, 1] *= SHIFT
    depths = viewing_distances(cameras)
    moved = [
        move(m, t.flatten(), d) for m, t, d in zip(cameras.viewmats.double(), twists, depths, strict=True)
    ]
    return replace(cameras, viewmats=torch.stack(moved).to(cameras.viewmats.dtype))


def trajectory_error(found: Cameras, true: Cameras) -> float:
    centers = true.centers.double()
    apart = Similarity.align(found.centers, centers).apply(found.centers.double()) - centers
    reach = (centers - centers.mean(0)).norm(dim=-1).max()
    return float(apart.square().sum(-1).mean().sqrt() / reach)
