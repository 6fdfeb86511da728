"""Multi-view stereo: a plane for every pixel of a photo, from what other photos show.

A plane sweep made smooth along paths says roughly where surfaces are, also where looks alone would not.
PatchMatch (Barnes et al. 2009) with slanted planes (Bleyer et al. 2011) makes that exact: in parallel and
with several views as in Gipuma (Galliani et al. 2015), chessboard neighbourhoods as in ACMH (Xu and Tao
2019), bilaterally weighted correlation and agreement between depth maps as in COLMAP (Schönberger et al.
2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from firstlight.geometry._depth_map import DepthMap
from firstlight.geometry._neighbours import Limits
from firstlight.geometry._patchmatch_kernels import Planes, Sources, evaluate, sweep
from firstlight.geometry._plane_sweep import swept
from firstlight.geometry._views import View, as_sources, plane_normals
from firstlight.scene import KEEP_FROM

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

COARSEST = 240  # pixels of the long side, above which another, half as large level is worth its time
WORST = 1.2  # cost from which a pixel has nothing to say


@dataclass(frozen=True)
class Effort:
    """How long to search with PatchMatch."""

    looks: int = 1  # turns over the pixels at each size above the plane sweep's
    agreement: int = 1  # at the full size, where depth maps of other photos count too
    draws: int = 2  # planes tried at a pixel and turn, beside its neighbours'
    disagreement: float = 0.15  # cost of a pixel of disagreement with another photo's depth map


@dataclass(frozen=True)
class Search:
    """What a turn of sweeps needs beside the pictures."""

    view: View
    sources: Sources
    limits: Limits
    seed: int

    def improve(
        self, planes: Planes, turns: int, wide: float, effort: Effort, geometric: bool = False
    ) -> None:
        """Sweep in place; ``wide`` in pixels of parallax at the first turn."""
        grey = self.view.grey.astype(np.float32)
        limits = np.array(self.limits, np.float32)
        best = judged_by(len(self.sources.starts))
        agreement = np.float32(effort.disagreement if geometric else 0.0)
        evaluate(grey, planes, self.sources, best, agreement)
        for turn in range(2 * turns):
            reach = np.float32(wide * 0.6 ** (turn // 2))
            sweep(
                grey, planes, self.sources, best, agreement, self.view.lens, limits,
                turn % 2, self.seed, turn, reach, effort.draws,
            )  # fmt: skip


def judged_by(sources: int) -> int:
    """Of how many sources the best ones count: something always hides a point from some."""
    return (sources + 1) // 2


def photometric(
    view: View, others: Sequence[View], limits: Limits, seen: Doubles, seed: int, effort: Effort
) -> DepthMap:
    """Depth by the looks of the pictures alone. ``seen``: world points [P, 3] that this view sees."""
    coarsest, *finer = _pyramid(max(view.shape))
    small, smaller = view.shrunk(coarsest), [other.shrunk(coarsest) for other in others]
    planes = _sloped(swept(small, smaller, limits, seen, judged_by(len(others))), limits)
    for level, shrink in enumerate(finer or [coarsest]):
        small = view.shrunk(shrink)
        sources = as_sources(small, [other.shrunk(shrink) for other in others])
        planes = _finer(planes, small.shape)
        Search(small, sources, limits, seed + 1000 * level).improve(planes, effort.looks, 1.0, effort)
    return _pack(planes, view)


def consistent(
    view: View, others: Sequence[View], found: DepthMap, maps: Sequence[DepthMap], limits: Limits, seed: int,
    effort: Effort,
) -> DepthMap:  # fmt: skip
    """``found`` improved by looks and by agreement with the others' depth ``maps``."""
    sources = as_sources(view, others, [one.inverse_depth for one in maps])
    planes = _unpack(found, view)
    Search(view, sources, limits, seed + 99_000).improve(
        planes, effort.agreement, 0.5, effort, geometric=True
    )
    return _pack(planes, view)


def _pyramid(longest: int) -> list[int]:
    """How many times shorter the sides are, from coarse to fine."""
    times = 1
    while longest / (2 * times) >= COARSEST:
        times *= 2
    return [times // 2**level for level in range(times.bit_length())]


def _sloped(w: Floats, limits: Limits) -> Planes:
    """Planes through inverse depths [H, W], sloped as these are where they do not jump."""
    step = (limits.nearest - limits.farthest) / 100
    smooth = cv2.bilateralFilter(w / np.float32(step), 5, 1.5, 2.0)
    slopes = [np.gradient(smooth, axis=axis) for axis in (1, 0)]
    gx, gy = (np.where(np.abs(slope) < 2, slope * step, 0).astype(np.float32) for slope in slopes)
    return Planes(w, gx, gy, np.zeros_like(w))


def _finer(planes: Planes, shape: tuple[int, int]) -> Planes:
    """The same planes for the pixels of a larger picture."""
    (rows, down), (columns, across) = (
        _places(side, old) for side, old in zip(shape, planes.w.shape, strict=True)
    )
    w, gx, gy = (array[down][:, across] for array in planes[:3])
    moved = w + gx * (columns - across)[None] + gy * (rows - down)[:, None]
    step_y, step_x = (old / side for side, old in zip(shape, planes.w.shape, strict=True))
    arrays = (moved, gx * step_x, gy * step_y, np.zeros(shape))
    return Planes(*(np.ascontiguousarray(array, np.float32) for array in arrays))


def _places(side: int, old: int) -> tuple[Doubles, npt.NDArray[np.int64]]:
    """Where the pixels of a side lie on a shorter one, and the pixels of that which are nearest."""
    places = (np.arange(side) + 0.5) * old / side - 0.5
    return places, np.rint(places).astype(np.int64).clip(0, old - 1)


def _pack(planes: Planes, view: View) -> DepthMap:
    """Confidence is 1 − cost here: how alike the pictures are."""
    known = (planes.cost < WORST) & (planes.w > 0)
    if view.keep is not None:
        known &= view.keep >= KEEP_FROM
    depth = np.where(known, 1 / np.maximum(planes.w, 1e-12), 0).astype(np.float32)
    return DepthMap.pack(depth, plane_normals(*planes[:3], view), np.where(known, 1 - planes.cost, 0))


def _unpack(found: DepthMap, view: View) -> Planes:
    """The planes again; where nothing was known, one that no view will like."""
    w, normals = found.inverse_depth, found.normals
    rows, columns = np.mgrid[: view.shape[0], : view.shape[1]].astype(np.float32)
    fx, fy, cx, cy = view.lens.tolist()
    # n · (ray / w) is the same along the plane: so are the ratios of gx·fx, gy·fy and w − gx·… to n.
    facing = normals[..., 0] * (columns - cx) / fx + normals[..., 1] * (rows - cy) / fy + normals[..., 2]
    scale = w / np.where(np.abs(facing) > 1e-6, facing, -1e-6)
    gx, gy = scale * normals[..., 0] / fx, scale * normals[..., 1] / fy
    return Planes(*(np.ascontiguousarray(array, np.float32) for array in (w, gx, gy, np.zeros_like(w))))
