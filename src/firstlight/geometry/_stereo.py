"""Multi-view PatchMatch stereo: a plane for every pixel of a photo, from what other photos show.

PatchMatch (Barnes et al. 2009) with slanted planes (Bleyer et al. 2011), in parallel and with several views as
in Gipuma (Galliani et al. 2015), its chessboard neighbourhoods as in ACMH (Xu and Tao 2019), bilaterally
weighted correlation and agreement between depth maps as in COLMAP (Schönberger et al. 2016). From coarse to
fine, started from sparse points where there are some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from firstlight.geometry._depth_map import DepthMap
from firstlight.geometry._neighbours import Limits
from firstlight.geometry._patchmatch_kernels import Planes, Sources, evaluate, sweep
from firstlight.geometry._views import View, as_sources

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

COARSEST = 200  # pixels of the long side, above which another, half as large level is worth its time
WORST = 1.2  # cost from which a pixel has nothing to say


@dataclass(frozen=True)
class Effort:
    """How long to search."""

    coarse: int = 4  # turns over the pixels at the coarsest level
    fine: int = 2  # at each finer one
    geometric: int = 2  # at the finest, where depth maps of other photos count too
    draws: int = 3  # planes tried at a pixel and turn, beside its neighbours'
    agreement: float = 0.15  # cost of a pixel of disagreement with another photo's depth map
    random: int = 1  # random planes that a pixel may begin with, beside what sparse points say


@dataclass(frozen=True)
class Search:
    """What a turn of sweeps needs beside the pictures."""

    view: View
    sources: Sources
    limits: Limits
    best: int  # sources that a plane is judged by
    seed: int

    def improve(self, planes: Planes, turns: int, wide: float, effort: Effort, geometric: bool = False) -> None:
        """Sweep in place; ``wide`` in pixels of parallax at the first turn."""
        grey = self.view.grey.astype(np.float32)
        limits = np.array(self.limits, np.float32)
        agreement = np.float32(effort.agreement if geometric else 0.0)
        evaluate(grey, planes, self.sources, self.best, agreement)
        for turn in range(2 * turns):
            reach = np.float32(wide * 0.6 ** (turn // 2))
            sweep(
                grey, planes, self.sources, self.best, agreement, self.view.lens, limits,
                turn % 2, self.seed, turn, reach, effort.draws,
            )  # fmt: skip


def judged_by(sources: int) -> int:
    """Of how many sources the best ones count: something always hides a point from some."""
    return max(1, sources // 2)


def photometric(
    view: View, others: Sequence[View], limits: Limits, seen: Doubles, seed: int, effort: Effort
) -> DepthMap:
    """Depth by the looks of the pictures alone. ``seen``: world points [P, 3] in this view, to begin with."""
    times = _pyramid(max(view.shape))
    planes = None
    for level, shrink in enumerate(times):
        small = view.shrunk(shrink)
        search = Search(
            small,
            as_sources(small, [other.shrunk(shrink) for other in others]),
            limits,
            judged_by(len(others)),
            seed + 1000 * level,
        )
        if planes is None:
            planes = _first_planes(search, seen, effort)
            search.improve(planes, effort.coarse, 8.0, effort)
        else:
            planes = _finer(planes, small.shape)
            search.improve(planes, effort.fine, 1.0, effort)
    assert planes is not None
    return _pack(planes, view)


def consistent(
    view: View, others: Sequence[View], found: DepthMap, maps: Sequence[DepthMap], limits: Limits, seed: int,
    effort: Effort,
) -> DepthMap:  # fmt: skip
    """``found`` improved by looks and by agreement with the others' depth ``maps``."""
    sources = as_sources(view, others, [one.inverse_depth for one in maps])
    planes = _unpack(found, view)
    search = Search(view, sources, limits, judged_by(len(others)), seed + 99_000)
    search.improve(planes, effort.geometric, 0.5, effort, geometric=True)
    return _pack(planes, view)


def _pyramid(longest: int) -> list[int]:
    times = 1
    while longest / (2 * times) >= COARSEST:
        times *= 2
    return [times // 2**level for level in range(times.bit_length())]


def _first_planes(search: Search, seen: Doubles, effort: Effort) -> Planes:
    """The best of what sparse points suggest and of random planes, at each pixel."""
    generator = np.random.default_rng(search.seed)
    first = [_suggested(search.view, search.limits, seen)] if len(seen) >= 4 else []
    first += [_random(search, generator) for _ in range(effort.random + (not first))]
    grey = search.view.grey.astype(np.float32)
    kept = first[0]
    evaluate(grey, kept, search.sources, search.best, np.float32(0))
    for planes in first[1:]:
        evaluate(grey, planes, search.sources, search.best, np.float32(0))
        better = planes.cost < kept.cost
        for old, new in zip(kept, planes, strict=True):
            np.copyto(old, new, where=better)
    return kept


def _random(search: Search, generator: np.random.Generator) -> Planes:
    shape, view = search.view.shape, search.view
    w = generator.uniform(*search.limits, shape).astype(np.float32)
    gx, gy = (
        (generator.uniform(-1, 1, shape) * w / focal).astype(np.float32) for focal in view.lens[:2].tolist()
    )
    return Planes(w, gx, gy, np.zeros(shape, np.float32))


def _suggested(view: View, limits: Limits, seen: Doubles) -> Planes:
    """Inverse depth, linear between sparse points [P, 3] and beyond them that of the nearest one."""
    pixels, depths = view.project(seen)
    inverse = np.clip(1 / depths, *limits)
    height, width = view.shape
    rows, columns = np.mgrid[:height, :width]
    w = np.asarray(NearestNDInterpolator(pixels, inverse)(columns, rows))
    if np.linalg.matrix_rank(pixels - pixels.mean(0), tol=1.0) == 2:
        between = LinearNDInterpolator(pixels, inverse)(columns, rows)
        w = np.where(np.isfinite(between), between, w)
    zero = np.zeros(view.shape, np.float32)
    return Planes(w.astype(np.float32), zero, zero.copy(), zero.copy())


def _finer(planes: Planes, shape: tuple[int, int]) -> Planes:
    """The same planes for the pixels of a larger picture."""
    height, width = shape
    rows, columns = ((np.arange(side) + 0.5) * old / side - 0.5 for side, old in zip(shape, planes.w.shape, strict=True))
    down, across = (np.rint(place).astype(int).clip(0, most - 1) for place, most in zip((rows, columns), planes.w.shape, strict=True))
    w, gx, gy = (array[down][:, across] for array in planes[:3])
    w = w + gx * (columns - across)[None] + gy * (rows - down)[:, None]
    step_y, step_x = planes.w.shape[0] / height, planes.w.shape[1] / width
    arrays = (w, gx * step_x, gy * step_y, np.zeros(shape))
    return Planes(*(np.ascontiguousarray(array, np.float32) for array in arrays))


def _pack(planes: Planes, view: View) -> DepthMap:
    """Confidence is 1 − cost here: how alike the pictures are."""
    rows, columns = np.mgrid[: view.shape[0], : view.shape[1]].astype(np.float32)
    fx, fy, cx, cy = view.lens.tolist()
    along = planes.w - planes.gx * (columns - cx) - planes.gy * (rows - cy)
    normals = -np.stack([fx * planes.gx, fy * planes.gy, along], -1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    known = (planes.cost < WORST) & (planes.w > 0)
    if view.keep is not None:
        known &= view.keep >= 128
    depth = np.where(known, 1 / np.maximum(planes.w, 1e-12), 0).astype(np.float32)
    return DepthMap.pack(depth, normals.astype(np.float32), np.where(known, 1 - planes.cost, 0))


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


