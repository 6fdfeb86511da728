"""Pixels of one camera as another one sees them, by the depth behind them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from firstlight.scene import Cameras

SOLID = 0.9  # alpha from which a pixel shows a surface
_WHOLE = 0.999  # a flag sampled between pixels must be set on all of them


class Met(NamedTuple):
    """P pixels of one camera, and what another one has where they fall in its picture."""

    z: Tensor  # [P] their depth as seen from the other
    channels: Tensor  # [P, D] the other's picture there, between pixels
    inside: Tensor  # [P] whether they fall on pixels of it that count, before it


def meet(depth: Tensor, kept: Tensor, camera: Cameras, other: Cameras, picture: Tensor, solid: Tensor) -> Met:
    """The pixels ``kept`` [H, W] of ``camera`` as points at ``depth`` [H, W], seen from ``other``.

    picture: [H', W', D] of the other camera; solid: [H', W'] which of its pixels count. Gradients flow to
    ``depth`` and ``picture``, not to the cameras.
    """
    here, there = camera.viewmats[0].detach(), other.viewmats[0].detach()
    height, width = depth.shape
    row, column = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    rays = torch.stack([column, row, torch.ones_like(row)], -1)[kept] @ torch.linalg.inv(camera.Ks[0]).T
    move = there @ torch.linalg.inv(here)
    points = (depth[kept][:, None] * rays) @ move[:3, :3].T + move[:3, 3]  # [P, 3]
    z = points[:, 2]
    place = (points @ other.Ks[0].T)[:, :2] / z[:, None].clamp(min=1e-6)
    size = place.new_tensor([picture.shape[1], picture.shape[0]])
    grid = (2 * place / size - 1)[None, None]  # [1, 1, P, 2]
    layers = torch.cat([picture, solid[..., None].to(picture.dtype)], -1).permute(2, 0, 1)[None]
    found = grid_sample(layers, grid, align_corners=False)[0, :, 0].T  # [P, D + 1]
    return Met(z, found[:, :-1], (found[:, -1] > _WHOLE) & (z > 0))
