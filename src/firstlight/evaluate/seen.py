"""Which pixels of a view show something that a training photo showed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from firstlight.scene import Cameras

Mask = npt.NDArray[np.uint8]

SOLID = 0.5  # alpha from which a pixel shows a surface
MOST = 12  # training photos that are asked: what is near was seen by them, if by any
NEAR = 0.05  # relative difference of depths up to which two cameras see one surface


class Depths(NamedTuple):
    """What one camera sees of the finished scene."""

    camera: Cameras
    depth: Tensor  # [H, W] expected z-depth, scene units
    alpha: Tensor  # [H, W]


def seen_by(view: Depths, training: Iterable[Depths]) -> Mask:
    """[H, W] 255 where a camera of ``training`` sees the surface behind the pixel of ``view``, 0 elsewhere.

    Judged by the scene's own depth: a pixel's point must fall into a training photo and lie there no deeper
    than what the photo shows, up to ``NEAR``. A pixel without a surface was seen by none. Where the scene's
    depth is wrong, so is this: it says where numbers measure invention, not where exactly that begins.
    """
    solid = view.alpha >= SOLID
    rows, columns = solid.nonzero(as_tuple=True)
    rays = torch.stack([columns + 0.5, rows + 0.5, torch.ones_like(rows)], -1).to(view.depth.dtype)
    pose, K = (each[0].to(view.depth.dtype) for each in (view.camera.viewmats, view.camera.Ks))
    local = (rays @ torch.linalg.inv(K).T) * view.depth[solid][:, None]
    world = (local - pose[:3, 3]) @ pose[:3, :3]
    seen = torch.zeros(len(world), dtype=torch.bool)
    for one in training:
        seen |= _before(world, one)
    mask = torch.zeros(solid.shape, dtype=torch.uint8)
    mask[solid] = 255 * seen.byte()
    return mask.numpy()


def _before(world: Tensor, one: Depths) -> Tensor:
    """Which of the points [P, 3] are in the picture of ``one`` and not behind what it shows."""
    place, z = one.camera.project(world)
    height, width = one.depth.shape
    inside = (z > 0) & (place >= 0).all(-1) & (place[:, 0] < width) & (place[:, 1] < height)
    grid = (2 * place / place.new_tensor([width, height]) - 1)[None, None]
    layers = torch.stack([one.depth, one.alpha])[None]
    # Nearest: between two surfaces there is no third one.
    depth, alpha = grid_sample(layers, grid, mode="nearest", align_corners=False)[0, :, 0]
    before: Tensor = inside & ((alpha < SOLID) | (z <= (1 + NEAR) * depth))
    return before


def seen_mask(depths: Callable[[int], Depths], index: int, cameras: Cameras, train: list[int]) -> Mask:
    """``seen_by`` for photo ``index``, by the ``MOST`` photos of ``train`` that were taken nearest to it.

    ``depths`` renders photo i; one is held at a time. ``cameras`` are those of all photos.
    """
    centers = cameras.centers
    away = (centers[train] - centers[index]).norm(dim=-1)
    nearest = [train[int(place)] for place in away.argsort()[:MOST]]
    return seen_by(depths(index), (depths(one) for one in nearest))
