"""The cuboid that outlines leave for an object."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from firstlight.errors import InputError
from firstlight.scene import Capture, Photo, Picture
from firstlight.starts import MaskCuboid
from tests.scenes import ring

MIDDLE, RADIUS = torch.tensor([0.1, -0.05, 0.2]), 0.4


def silhouettes(middle: Tensor = MIDDLE) -> Capture:
    """A ball as six cameras around it see it: nothing but its outline."""
    cameras = ring(6)
    photos = []
    for i in range(6):
        K, width, height = cameras.Ks[i], int(cameras.width[i]), int(cameras.height[i])
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        rays = torch.stack([x, y, torch.ones_like(x)], -1) @ torch.linalg.inv(K).T
        local = cameras.viewmats[i, :3, :3] @ middle + cameras.viewmats[i, :3, 3]
        along = (rays @ local) / rays.norm(dim=-1)
        hit = (local @ local - along**2) < RADIUS**2
        mask = np.where(hit.numpy(), 255, 0).astype(np.uint8)
        picture = Picture(np.zeros((height, width, 3), np.uint8), mask)
        photos.append(Photo(f"{i}.png", width, height, partial(given, picture)))
    return Capture(photos, "silhouettes", cameras=cameras)


def given(picture: Picture) -> Picture:
    return picture


def start(capture: Capture, count: int = 3000) -> Tensor:
    return MaskCuboid(count)(capture, torch.Generator().manual_seed(0)).means


def test_gaussians_fill_the_cuboid_around_the_object() -> None:
    low, high = start(silhouettes()).aminmax(dim=0)
    # A pixel is 0.06 wide there, and all cameras stand about level: hulls bulge upwards and downwards.
    for axis, slack in enumerate((0.15, 0.35, 0.15)):
        assert MIDDLE[axis] - RADIUS - slack < low[axis] < MIDDLE[axis] - RADIUS + 0.1
        assert MIDDLE[axis] + RADIUS - 0.1 < high[axis] < MIDDLE[axis] + RADIUS + slack


def test_the_same_seed_gives_the_same_start() -> None:
    assert torch.equal(start(silhouettes(), 50), start(silhouettes(), 50))


def test_photos_without_masks_are_refused() -> None:
    capture = silhouettes()
    picture = Picture(np.zeros((48, 64, 3), np.uint8))
    capture.photos[2] = replace(capture.photos[2], decode=lambda: picture)
    with pytest.raises(InputError, match=r"2\.png: has no mask"):
        start(capture)


def test_outlines_that_do_not_meet_are_refused() -> None:
    here, there = silhouettes(), silhouettes(torch.tensor([0.0, 1.4, 0.0]))
    mixed = replace(here, photos=[*here.photos[:3], *there.photos[3:]])
    with pytest.raises(InputError, match="do not meet in one place"):
        start(mixed)
