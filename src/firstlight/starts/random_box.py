"""A random start, for captures with cameras but no points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from firstlight.errors import InputError
from firstlight.scene import KEEP_FROM, Cameras, Capture, Gaussians
from firstlight.starts._sizes import sizes

NEAR, FAR = 0.4, 4.0  # of the distance to what the cameras look at
CANDIDATES = 4  # times as many are drawn as are kept
COLOURED_BY = 32  # photos at most: colours need no more, and each must be decoded
CONVERGING = 0.01  # mean squared sine between viewing axes and the direction they share: some 6°


@dataclass(frozen=True)
class RandomBox:
    """``count`` round Gaussians where the cameras look, coloured by the photos that see them.

    They are drawn along random pixels of random photos, evenly in the logarithm of depth between 0.4 and 4
    times the distance to the point that the cameras turn to, and those that most cameras see are kept when
    the data says what stands behind the scene (then there is nothing else to find). With ``radius``, they
    are spread evenly in a cube instead, that many camera radii to each side of the cameras' centre: the start
    without points of 3DGS-MCMC has 3 (Kheradmand et al. 2024). The Gaussians have degree 0 and hold float32.
    """

    count: int = 20_000
    opacity: float = 0.1
    scale: float = 1.0  # times the gap between neighbours
    neighbours: int = 3
    radius: float | None = None

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras."""
        cameras = capture.cameras
        if cameras is None:
            raise InputError(f"The photos ({capture.layout}) have no camera poses: none to start from.")
        if self.radius is not None:
            xyz = _in_cube(cameras, self.count, self.radius, generator)
        else:
            xyz = along_pixels(cameras, CANDIDATES * self.count, generator)
            views = _views(xyz, cameras)
            # Where the background is known, what is seen by all is the object. Elsewhere, two are enough.
            wanted = views if capture.background is not None else views.clamp(max=2)
            xyz = xyz[wanted.argsort(descending=True, stable=True)[: self.count]]
        return Gaussians.isotropic(
            means=xyz.float(),
            rgb=_colours(xyz, capture, cameras),
            scales=sizes(xyz, cameras, self.neighbours, self.scale).float(),
            opacity=self.opacity,
        )


def viewing_distances(cameras: Cameras) -> Tensor:
    """How far each camera [C] stands from the point nearest to all viewing axes.

    Where axes are parallel they do not say how far away things are: then three camera radii, which is where
    most of what people photograph from side to side stands.
    """
    centers, axes = cameras.centers.double(), cameras.rotations.double()[:, 2]
    across = torch.eye(3, dtype=torch.float64) - axes[:, :, None] * axes[:, None, :]  # [C, 3, 3]
    if cameras.apart and torch.linalg.eigvalsh(across.mean(0))[0] > CONVERGING:
        point = torch.linalg.solve(across.mean(0), (across @ centers[:, :, None]).mean(0)).squeeze(-1)
        ahead = ((point - centers) * axes).sum(-1) > 0
        if ahead.double().mean() > 0.5:
            distances: Tensor = (centers - point).norm(dim=-1)
            return distances
    return torch.full((len(cameras),), 3 * _radius(cameras), dtype=torch.float64)


def _radius(cameras: Cameras) -> float:
    """Of the cameras around their mean; 1 where they stand in one place and nothing gives a scale."""
    centers = cameras.centers.double()
    return float((centers - centers.mean(0)).norm(dim=-1).max()) if cameras.apart else 1.0


def _in_cube(cameras: Cameras, count: int, radius: float, generator: torch.Generator) -> Tensor:
    centers = cameras.centers.double()
    drawn = torch.rand(count, 3, dtype=torch.float64, generator=generator)
    return centers.mean(0) + radius * _radius(cameras) * (2 * drawn - 1)


def along_pixels(cameras: Cameras, count: int, generator: torch.Generator) -> Tensor:
    """Points [count, 3] on rays of random pixels."""
    photo = torch.randint(len(cameras), (count,), generator=generator)
    across, down, deep = torch.rand(3, count, dtype=torch.float64, generator=generator)
    pixels = torch.stack([across * cameras.width[photo], down * cameras.height[photo], torch.ones(count)], -1)
    rays = (torch.linalg.inv(cameras.Ks.double())[photo] @ pixels[:, :, None].double()).squeeze(-1)
    depth = viewing_distances(cameras)[photo] * NEAR * (FAR / NEAR) ** deep
    local = (depth[:, None] * rays)[:, :, None]
    xyz: Tensor = (cameras.rotations.double().mT[photo] @ local).squeeze(-1)
    return cameras.centers.double()[photo] + xyz


def pixels_of(xyz: Tensor, cameras: Cameras, index: int) -> tuple[Tensor, Tensor]:
    """Column and row [P, 2] of points in one photo, and the mask [P] of those inside it."""
    place, depth = cameras.select([index]).project(xyz)
    size = torch.stack([cameras.width[index], cameras.height[index]])
    return place, (depth > 0) & (place >= 0).all(1) & (place < size).all(1)


def _views(xyz: Tensor, cameras: Cameras) -> Tensor:
    """How many photos have each point in their picture: [P]."""
    views = torch.zeros(len(xyz), dtype=torch.long)
    for index in range(len(cameras)):
        views += pixels_of(xyz, cameras, index)[1]
    return views


def _colours(xyz: Tensor, capture: Capture, cameras: Cameras) -> Tensor:
    """Mean colour [P, 3] of the pixels that points fall on and that masks keep; grey where there is none."""
    total, seen = torch.zeros(len(xyz), 3), torch.zeros(len(xyz))
    step = -(-len(cameras) // COLOURED_BY)
    for index in range(0, len(cameras), step):
        place, inside = pixels_of(xyz, cameras, index)
        picture = capture.photos[index].decode()
        rows = inside.nonzero().squeeze(-1)
        column, row = place[rows].long().numpy().T
        if picture.mask is not None:
            kept = picture.mask[row, column] >= KEEP_FROM
            rows, column, row = rows[torch.from_numpy(kept)], column[kept], row[kept]
        total[rows] += torch.from_numpy(picture.rgb[row, column].astype(np.float32)) / 255
        seen[rows] += 1
    return torch.where(seen[:, None] > 0, total / seen.clamp(min=1)[:, None], 0.5)
