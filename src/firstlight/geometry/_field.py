"""Depth from a small radiance field: a voxel grid of density and colour, trained for the purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from firstlight.geometry._depth_map import DepthMap
from firstlight.geometry._neighbours import points_in
from firstlight.geometry._views import View, plane_normals
from firstlight.progress import Progress
from firstlight.scene import KEEP_FROM, Capture, Picture

Floats = npt.NDArray[np.float32]

RAYS = 640  # a step
CHUNK = 8192  # rays rendered at once: their samples must fit into memory
NEAREST, FARTHEST = 0.5, 8.0  # times the depths of the nearest and the farthest sparse points
OPAQUE = 0.5  # a ray that gathers less has no depth
RATE = 0.1  # Adam's, of what the grid holds
EMPTY = -3.0  # the grid's density before softplus, to begin with


class _Rays(NamedTuple):
    """R rays, and how deep along each there may be something."""

    origins: Tensor  # [R, 3]
    directions: Tensor  # [R, 3], so long that z-depth 1 is one of them
    near: Tensor  # [R] z-depth
    far: Tensor  # [R]


class _Lesson(NamedTuple):
    """What one photo has to teach."""

    view: View
    colours: Tensor  # [H·W, 3] in [0, 1]
    pixels: npt.NDArray[np.intp]  # those that its mask keeps; all where it keeps none
    limits: tuple[float, float]

    @staticmethod
    def of(view: View, picture: Picture, limits: tuple[float, float]) -> _Lesson:
        size = view.shape[::-1]
        rgb = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        pixels = np.arange(view.grey.size)
        if picture.mask is not None:
            mask = cv2.resize(picture.mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
            pixels = np.flatnonzero(mask >= KEEP_FROM) if (mask >= KEEP_FROM).any() else pixels
        return _Lesson(view, torch.from_numpy(rgb).view(-1, 3), pixels, limits)


@dataclass(frozen=True)
class RadianceField:
    """Depth as a radiance field sees it (Does Gaussian Splatting need SFM Initialization?, Foroutan 2024).

    Density and colour live on ``cells``³ grid points of a space contracted as in mip-NeRF 360 (Barron et al.
    2022), so that what is far has room too. ``steps`` times some pixels of all photos are rendered by volume
    rendering and compared. The grid grows in detail from a quarter over a half to the whole. The paper trains
    an instant-NGP on a GPU; this is small enough for a minute on a processor, and only as good as that.
    """

    cells: int = 96
    steps: int = 400
    samples: int = 48  # along a ray
    size: int = 240  # long side of the photos it learns from, pixels
    agreement: float = 4.0  # pixels: voxels are coarse

    def __call__(
        self, capture: Capture, views: Sequence[View], neighbours: Sequence[Sequence[int]], *,
        seed: int, progress: Progress,
    ) -> list[DepthMap]:  # fmt: skip
        generator = torch.Generator().manual_seed(seed)
        limits = [_limits(i, view, capture) for i, view in enumerate(views)]
        field = _Field.around(views, limits)
        lessons = [
            _Lesson.of(view.shrunk(max(1, round(max(view.shape) / self.size))), photo.decode(), limit)
            for view, photo, limit in zip(views, capture.photos, limits, strict=True)
        ]
        with progress.stage("Learning a radiance field", self.steps) as stage:
            for cells, steps in ((self.cells // 4, 0.25), (self.cells // 2, 0.25), (self.cells, 0.5)):
                field.refine(cells)
                adam = torch.optim.Adam([field.grid], RATE, eps=1e-15)
                for _ in range(round(steps * self.steps)):
                    rays, wanted = _batch(lessons, generator)
                    jitter = torch.rand(len(wanted), self.samples, generator=generator)
                    colour, _, _ = field.render(rays, jitter)
                    adam.zero_grad()
                    functional.smooth_l1_loss(colour, wanted, beta=0.1).backward()  # type: ignore[no-untyped-call]
                    adam.step()
                    stage.advance()
        return [self._map(field, view, limit) for view, limit in zip(views, limits, strict=True)]

    @torch.no_grad()
    def _map(self, field: _Field, view: View, limits: tuple[float, float]) -> DepthMap:
        half = view.shrunk(2)
        rows, columns = np.mgrid[: half.shape[0], : half.shape[1]].reshape(2, -1)
        depth, opacity = [], []
        for first in range(0, len(rows), CHUNK):
            rays = _rays(half, columns[first : first + CHUNK], rows[first : first + CHUNK], limits)
            middle = torch.full((len(rays.near), self.samples), 0.5)
            _, z, alpha = field.render(rays, middle)
            depth.append(z)
            opacity.append(alpha)
        size = view.shape[::-1]
        z, alpha = (
            cv2.resize(torch.cat(part).view(half.shape).numpy(), size, interpolation=cv2.INTER_LINEAR)
            for part in (depth, opacity)
        )
        known = np.where(alpha >= OPAQUE, z, 0).astype(np.float32)
        if view.keep is not None:
            known = np.where(view.keep >= KEEP_FROM, known, 0).astype(np.float32)
        w = np.where(known > 0, 1 / np.maximum(known, 1e-12), 0).astype(np.float32)
        gy, gx = (np.asarray(slope, np.float32) for slope in np.gradient(w))
        confidence = np.where(known > 0, alpha, 0).astype(np.float32)
        return DepthMap.pack(known, plane_normals(w, gx, gy, view), confidence)


class _Field:
    """The grid [cells³, 4] (density before softplus, colours before sigmoid) and the space that it spans."""

    def __init__(self, center: Tensor, radius: float) -> None:
        self.center, self.radius = center, radius
        self.cells = 2
        self.grid = torch.tensor([EMPTY, 0.0, 0.0, 0.0]).repeat(8, 1).requires_grad_()

    @staticmethod
    def around(views: Sequence[View], limits: Sequence[tuple[float, float]]) -> _Field:
        """Its inner half holds the cameras and what they look at."""
        centers = np.array([view.center for view in views])
        ahead = np.array([view.viewmat[2, :3] for view in views])
        depth = np.array([near / NEAREST * 2 for near, _ in limits])
        looked_at = centers + ahead * depth[:, None]
        center = np.concatenate([centers, looked_at]).mean(0)
        radius = float(np.linalg.norm(np.concatenate([centers, looked_at]) - center, axis=1).max())
        return _Field(torch.tensor(center, dtype=torch.float32), max(radius, 1e-6))

    @torch.no_grad()
    def refine(self, cells: int) -> None:
        """The same field on ``cells``³ points."""
        volume = self.grid.detach().T.reshape(1, 4, self.cells, self.cells, self.cells)
        finer = functional.interpolate(volume, (cells, cells, cells), mode="trilinear", align_corners=True)
        self.grid = finer.reshape(4, -1).T.contiguous().requires_grad_()
        self.cells = cells

    def at(self, points: Tensor) -> Tensor:
        """What the grid holds at world ``points`` [S, 3], between its eight nearest points: [S, 4]."""
        place = (points - self.center) / self.radius
        length = place.norm(dim=-1, keepdim=True).clamp(min=1e-9)
        place = torch.where(length <= 1, place, (2 - 1 / length) * place / length)  # in a ball of radius 2
        scaled = (place / 4 + 0.5).clamp(0, 1) * (self.cells - 1)
        low = scaled.floor().clamp(max=self.cells - 2)
        part, low = scaled - low, low.long()
        corners = torch.tensor([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        steps = torch.tensor([self.cells**2, self.cells, 1])
        index = (low * steps).sum(-1, keepdim=True) + corners @ steps  # [S, 8]
        share = torch.where(corners[None] == 1, part[:, None], 1 - part[:, None]).prod(-1)
        corner = self.grid.index_select(0, index.reshape(-1)).view(*index.shape, 4)
        return (corner * share[..., None]).sum(1)  # embedding_bag takes twice as long backwards

    def render(self, rays: _Rays, jitter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Colours [R, 3], z-depths [R] in the middle of what is seen, and opacities [R] of rays.

        Samples lie evenly in inverse depth, moved within their share of it by ``jitter`` [R, S] in [0, 1].
        """
        count = jitter.shape[1]
        share = (torch.arange(count) + jitter) / count
        inverse = 1 / rays.near[:, None] * (1 - share) + 1 / rays.far[:, None] * share
        z = 1 / inverse  # [R, S]
        points = rays.origins[:, None] + z[..., None] * rays.directions[:, None]
        held = self.at(points.reshape(-1, 3)).view(*z.shape, 4)
        gaps = torch.cat([z[:, 1:] - z[:, :-1], rays.far[:, None] - z[:, -1:]], -1).clamp(min=0)
        alpha = 1 - torch.exp(-functional.softplus(held[..., 0]) * gaps / self.radius * self.cells)
        through = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha + 1e-10], -1), -1)
        weights = alpha * through[:, :-1]
        colour = (weights[..., None] * held[..., 1:].sigmoid()).sum(1) + through[:, -1:] * 0.5
        opacity = weights.sum(-1)
        reached = weights.cumsum(-1) >= opacity[:, None] / 2
        middle = z.gather(1, reached.float().argmax(-1, keepdim=True)).squeeze(-1)
        return colour, middle, opacity


def _limits(index: int, view: View, capture: Capture) -> tuple[float, float]:
    """The z-depths between which a view may see something."""
    points = points_in(index, view, capture.points)
    _, depths = view.project(points)
    depths = depths[depths > 0]
    if len(depths) < 8:
        assert capture.cameras is not None
        reach = float(capture.cameras.extent) or 1.0
        return 0.2 * reach, 50 * reach
    low, high = np.quantile(depths, [0.02, 0.98])
    return NEAREST * float(low), FARTHEST * float(high)


def _batch(lessons: Sequence[_Lesson], generator: torch.Generator) -> tuple[_Rays, Tensor]:
    """Rays through random pixels of all photos, and the colours there [R, 3]."""
    each = -(-RAYS // len(lessons))
    parts, wanted = [], []
    for one in lessons:
        drawn = one.pixels[torch.randint(len(one.pixels), (each,), generator=generator).numpy()]
        rows, columns = np.divmod(drawn, one.view.shape[1])
        parts.append(_rays(one.view, columns, rows, one.limits))
        wanted.append(one.colours[drawn])
    return _Rays(*(torch.cat(kind) for kind in zip(*parts, strict=True))), torch.cat(wanted)


def _rays(
    view: View, columns: npt.NDArray[np.intp], rows: npt.NDArray[np.intp], limits: tuple[float, float]
) -> _Rays:
    flat = np.stack([columns, rows, np.ones(len(rows))], -1)
    directions = flat @ np.linalg.inv(view.K).T @ view.viewmat[:3, :3]
    origins = torch.tensor(view.center, dtype=torch.float32).expand(len(rows), 3)
    near, far = (torch.full((len(rows),), limit) for limit in limits)
    return _Rays(origins, torch.tensor(directions, dtype=torch.float32), near, far)
