"""Sparse points made denser by Gaussian processes: GP-GS (Guo et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from firstlight.errors import InputError
from firstlight.processes import GpRegression
from firstlight.scene import KEEP_FROM, Cameras, Capture, Gaussians, Photo, Points
from firstlight.starts.sfm_points import SfmPoints, usable


@dataclass(frozen=True)
class GpStart:
    """Sparse points, and beside them what a process predicts around them where it is sure.

    In each of the ``photos`` that saw most points, a process learns (column, row, depth) → (x, y, z, r, g, b)
    from the points. It is asked at ``directions`` places around each point, ``radius`` of the shorter side
    away, with the depth of the photo's own map there or, where it has none, that of the nearest point. Those
    whose mean variance of colour is at or below the quantile ``kept`` join; as in the authors' scripts, the
    variance of places has no say.
    """

    photos: int = 4
    most: int = 400  # points a photo: time grows with the cube
    directions: int = 10
    radius: float = 0.2
    kept: float = 0.5
    process: GpRegression = field(default_factory=GpRegression)
    start: SfmPoints = field(default_factory=SfmPoints)

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras or points, or gpytorch is missing."""
        cameras, points = capture.cameras, capture.points
        if cameras is None or points is None or len(points) == 0:
            raise InputError(f"The photos ({capture.layout}) come without cameras or points to start from.")
        good = points.select(usable(points, cameras, self.start.max_error))
        seen = torch.bincount(good.track_photo, minlength=len(capture))
        added = [
            self._around(good, int(i), capture.photos[i], cameras.select([int(i)]), generator)
            for i in seen.argsort(descending=True, stable=True)[: self.photos]
            if seen[i] >= 16
        ]
        return self.start(replace(capture, points=_joined([good, *added])), generator)

    def _around(
        self, points: Points, index: int, photo: Photo, camera: Cameras, generator: torch.Generator
    ) -> Points:
        """New points that photo ``index`` suggests."""
        mine: Tensor = torch.unique(points.track_point[points.track_photo == index])
        mine = mine[torch.randperm(len(mine), generator=generator)[: self.most]]
        xyz, rgb = points.xyz[mine].double(), points.rgb[mine].double() / 255
        pixels, depths = camera.project(xyz)
        size = torch.tensor([photo.width, photo.height], dtype=torch.float64)
        known = torch.cat([pixels / size, depths[:, None]], -1)
        angles = torch.arange(self.directions, dtype=torch.float64) / self.directions * 2 * torch.pi
        steps = self.radius * float(size.min()) * torch.stack([angles.cos(), angles.sin()], -1)
        places = (pixels[:, None] + steps).reshape(-1, 2)
        places = _kept(photo, places[((places >= 0) & (places < size)).all(-1)])
        if len(places) == 0:
            return points.select(torch.zeros(len(points), dtype=torch.bool))
        asked = torch.cat([places / size, _depths(photo, places, pixels, depths)[:, None]], -1)
        found = self.process(known, torch.cat([xyz, rgb], -1), asked)
        doubt = found.variance[:, 3:].mean(-1)
        sure = doubt <= doubt.quantile(self.kept)
        colours = (found.mean[sure, 3:].clamp(0, 1) * 255).round().byte()
        error = torch.full((int(sure.sum()),), torch.nan, dtype=torch.float64)
        return Points(found.mean[sure, :3], colours, error)


def _kept(photo: Photo, places: Tensor) -> Tensor:
    """Those of ``places`` [Q, 2] in the photo that its mask does not ignore."""
    mask = photo.decode().mask
    if mask is None:
        return places
    column, row = places.long().unbind(-1)
    return places[torch.from_numpy(mask)[row, column] >= KEEP_FROM]


def _depths(photo: Photo, places: Tensor, pixels: Tensor, depths: Tensor) -> Tensor:
    """z-depth [Q] at ``places`` [Q, 2]: the photo's own, or that of the nearest of ``pixels`` [P, 2]."""
    nearest = depths[torch.cdist(places, pixels).argmin(1)]
    if photo.depth is None:
        return nearest
    column, row = places.long().unbind(-1)
    own = torch.from_numpy(photo.depth())[row, column].double()
    return torch.where(own > 0, own, nearest)


def _joined(parts: list[Points]) -> Points:
    """All points; tracks are those of the first, whose points keep their numbers."""
    return replace(
        parts[0],
        xyz=torch.cat([part.xyz.double() for part in parts]),
        rgb=torch.cat([part.rgb for part in parts]),
        error=torch.cat([part.error for part in parts]),
    )
