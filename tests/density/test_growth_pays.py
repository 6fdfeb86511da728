"""What density control is for: from too few points, growing ends with a better picture than not growing."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from firstlight.density import Fixed, Mcmc, Strategy, Vanilla
from firstlight.fitting import Fit, Recipe
from firstlight.render import rasterization
from firstlight.scene import Capture, Gaussians, Photo, Picture, Points
from firstlight.starts import SfmPoints
from tests.scenes import ring

STEPS = 1000


def painted_ball() -> Capture:
    """A ball of 600 small spots of smoothly changing colour, of which 60 are known as points."""
    generator = torch.Generator().manual_seed(0)
    places = torch.nn.functional.normalize(torch.randn(600, 3, generator=generator), dim=-1)
    rgb = 0.5 + 0.5 * torch.sin(6 * places + torch.tensor([0.0, 1, 2]))
    ball = Gaussians.isotropic(places, rgb, torch.full((600,), 0.1), 0.95)
    cameras = ring(16)
    pictures, _, _ = rasterization(
        ball.means, ball.quats, ball.scales, ball.opacities, ball.sh, cameras.viewmats, cameras.Ks, 64, 48,
        sh_degree=0,
    )  # fmt: skip
    seen = [Picture(picture) for picture in (pictures.clamp(0, 1) * 255).round().byte().numpy()]
    photos = [Photo(f"{i:02}.png", 64, 48, partial(seen.__getitem__, i)) for i in range(16)]
    few = (rgb[:60] * 255).byte()
    points = Points(places[:60].double(), few, torch.full((60,), torch.nan, dtype=torch.float64))
    return Capture(photos, "test", cameras, points, background=(0.0, 0.0, 0.0))


def quality(density: Strategy) -> tuple[float, float, int]:
    """PSNR of training and of held-out photos, and the number of Gaussians, after a short fit."""
    capture = painted_ball()
    split = capture.split()
    recipe = Recipe("test", "test", SfmPoints(), density, steps=STEPS, exposure=False)
    fit = Fit(capture, recipe, split.train, seed=0)
    fit.begin(capture.select(split.train))
    for _ in range(STEPS):
        fit.step()
    return fit.probe(split.train), fit.probe(split.test), len(fit.model)


@pytest.fixture(scope="module")
def without() -> tuple[float, float, int]:
    return quality(Fixed())


@pytest.mark.parametrize("density", [Mcmc(cap=600), Vanilla(max_gaussians=600)], ids=["mcmc", "vanilla"])
def test_growing_beats_not_growing(density: Strategy, without: tuple[float, float, int]) -> None:
    train, held_out, count = quality(density)
    assert (without[2], count) == (60, 600)
    assert train > without[0] + 2
    assert held_out > without[1] + 2
