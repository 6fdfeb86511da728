"""A patterned square before one camera, as losses see it."""

from __future__ import annotations

import torch
from torch import Tensor

from firstlight.fitting import View
from firstlight.fitting.terms import Rendered
from firstlight.render import render_camera
from firstlight.scene import Cameras, Gaussians
from tests.scenes import looking_at


def sheet(away: float = 0.0) -> Gaussians:
    """A square of many opaque Gaussians with a pattern, ``away`` from the origin along z."""
    x, y = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 40), indexing="ij")
    means = torch.stack([x, y, torch.full_like(x, away)], -1).reshape(-1, 3)
    rgb = 0.5 + 0.4 * torch.stack([(4 * x).sin(), (3 * y).cos(), (5 * x * y).sin()], -1).reshape(-1, 3)
    return Gaussians.isotropic(means, rgb, torch.full((1600,), 0.06), opacity=0.99)


CAMERA = looking_at(torch.tensor([[0.3, -0.2, -3.0]]), torch.zeros(3))


def seen(gaussians: Gaussians, camera: Cameras) -> Rendered:
    colors, alpha, _ = render_camera(gaussians, camera, depth=True)
    return Rendered(colors[..., :3], alpha, colors[..., 3])


def view_of(gaussians: Gaussians, photo: Tensor, mask: Tensor | None, seed: int = 0) -> View:
    """What a term would see of ``gaussians`` late in a fit."""
    rendered = seen(gaussians, CAMERA)
    return View(
        rendered.rgb,
        rendered.alpha,
        photo,
        mask,
        gaussians,
        0.9,
        0,
        CAMERA,
        1.0,
        torch.Generator().manual_seed(seed),
        lambda camera, exposed=True: seen(gaussians, camera),
        memory={},
        depth=rendered.depth,
    )
