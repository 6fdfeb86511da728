"""Views of an object from all sides that its photos know."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from firstlight.scene import Cameras, Gaussians, look_at

REACH = 35.0  # degrees from the nearest photo: farther round, the model was never looked at
GOLDEN = math.pi * (3 - math.sqrt(5))


def views_around(gaussians: Gaussians, cameras: Cameras, count: int = 60) -> Cameras:
    """The photos' own ``cameras``, then those of ``count`` even views on a sphere that are near one of them.

    The sphere is around the object's middle, as large as the photos' median distance. A view has the lens of
    the first photo, which must be a plain pinhole, and is held upright as the photos are on average.
    """
    middle = gaussians.means.double().median(0).values
    offsets = cameras.centers.double() - middle
    known, distance = normalize(offsets, dim=-1), offsets.norm(dim=-1).median()
    ways = _even(count)
    ways = ways[(ways @ known.T).amax(1) > math.cos(math.radians(REACH))]
    if not len(ways):
        return cameras
    down = cameras.rotations[:, 1].double().mean(0)
    viewmats = look_at(middle + distance * ways, middle, down)
    first = cameras.select([0] * len(ways))
    return replace(
        cameras,
        viewmats=torch.cat([cameras.viewmats, viewmats.to(cameras.viewmats)]),
        Ks=torch.cat([cameras.Ks, first.Ks]),
        width=torch.cat([cameras.width, first.width]),
        height=torch.cat([cameras.height, first.height]),
        distortion=None,
    )


def _even(count: int) -> Tensor:
    """Directions [count, 3] spread evenly over the sphere, along a spiral (Fibonacci lattice)."""
    index = torch.arange(count, dtype=torch.float64)
    z = 1 - (2 * index + 1) / count
    radius, angle = (1 - z * z).sqrt(), GOLDEN * index
    return torch.stack([radius * angle.cos(), radius * angle.sin(), z], -1)
