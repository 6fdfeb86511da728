"""The coarse half of DKM (Edstedt et al. 2023): a Gaussian process from looks to places."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

STRIDE = 12  # pixels between the cells of the coarse grid
SIZES = (16.0, 40.0)  # diameters of the described surroundings, in pixels
SHARPNESS = 0.2  # of the kernel: exp((cosine − 1) / 0.2)
NOISE = 0.1  # variance of what a look says about a place
FREQUENCIES = 128  # random ones, each with cosine and sine: places as 256 numbers
SPREAD = 8 * np.pi / 3  # of the frequencies, for places between −1 and 1
TRUSTED = 1.6  # cells by which the way there and back may miss
_GENERATOR_SEED = 0  # the places' code is a constant of the method, not a random choice


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the cells of a grid over one picture lie in another, and which of them are trusted."""

    warp: Floats  # [R, C, 2] column and row, first pixel's centre at 0
    trusted: Flags  # [R, C]

    def at_every_pixel(self, width: int, height: int) -> Floats:
        """[height, width, 2]: trusted cells, smoothed; others take what is around them."""
        shown = np.where(self.trusted[..., None], self._without_outliers(), 0).astype(np.float32)
        weight = self.trusted.astype(np.float32)
        if not weight.any():
            shown, weight = self.warp, np.ones_like(weight)
        total, share = np.zeros_like(shown), np.full(weight.shape, 1e-12, np.float32)
        for width_of_blur in (0.7, 1.5, 3.0, 8.0, 30.0):
            # Wider ones only matter where the narrower ones found nothing.
            worth = 1e-3 ** np.log2(width_of_blur / 0.7)
            total += worth * _blurred(shown, width_of_blur)
            share += worth * _blurred(weight, width_of_blur)
        full = cv2.resize(total / share[..., None], (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(full, np.float32)

    def _without_outliers(self) -> Floats:
        return np.stack([cv2.medianBlur(np.ascontiguousarray(self.warp[..., i]), 3) for i in range(2)], -1)


def _blurred(picture: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def coarse_warp(a: Bytes, b: Bytes) -> Grid:
    """Where each cell of grey picture ``a`` [H, W] lies in ``b``."""
    cells_a, looks_a = describe(a)
    cells_b, looks_b = describe(b)
    mean = (looks_a.mean((0, 1)) + looks_b.mean((0, 1))) / 2
    unit_a, unit_b = _unit(looks_a - mean), _unit(looks_b - mean)
    there = regress(unit_a, unit_b, cells_b, b.shape)
    back = regress(unit_b, unit_a, cells_a, a.shape)
    return Grid(there, _returns(there, back, cells_a))


def describe(picture: Bytes) -> tuple[Floats, Floats]:
    """Centres of cells [R, C, 2] and root SIFT of two sizes around each [R, C, 256]."""
    height, width = picture.shape
    rows, columns = max(2, height // STRIDE), max(2, width // STRIDE)
    column, row = np.meshgrid(
        (np.arange(columns) + 0.5) * width / columns - 0.5, (np.arange(rows) + 0.5) * height / rows - 0.5
    )
    cells = np.stack([column, row], -1).astype(np.float32)
    sift = cv2.SIFT_create()
    looks = []
    for size in SIZES:
        keypoints = [cv2.KeyPoint(x, y, size, 0.0) for x, y in cells.reshape(-1, 2).tolist()]
        described = sift.compute(picture, keypoints)[1]
        total = np.maximum(np.abs(described).sum(-1, keepdims=True), 1e-6)
        looks.append(np.sqrt(described / total).reshape(rows, columns, -1))
    return cells, np.concatenate(looks, -1).astype(np.float32)


def _unit(looks: Floats) -> Floats:
    return np.asarray(looks / np.maximum(np.linalg.norm(looks, axis=-1, keepdims=True), 1e-6), np.float32)


def regress(query: Floats, target: Floats, cells: Floats, shape: tuple[int, ...]) -> Floats:
    """Places [R, C, 2] in the target picture for looks [R, C, D], from looks and ``cells`` of the target.

    The posterior mean of a Gaussian process whose kernel is exponential in the cosine of looks, over a code
    of places as random cosines, so that a look may point to several places; then the place whose code is
    most alike, averaged with the cells around it.
    """
    q, t = query.reshape(-1, query.shape[-1]), target.reshape(-1, target.shape[-1])
    code = _code(cells.reshape(-1, 2), shape)  # [T, 256]
    within = np.exp((t @ t.T - 1) / SHARPNESS)
    within[np.diag_indices(len(t))] += NOISE
    weights = cho_solve(cho_factor(within, lower=True, overwrite_a=True), code, overwrite_b=False)
    mean = np.exp((q @ t.T - 1) / SHARPNESS) @ weights  # [Q, 256]
    alike = (mean @ code.T).reshape(-1, *cells.shape[:2])  # [Q, R, C]
    return _peak(alike, cells).reshape(*query.shape[:2], 2)


def _code(places: Floats, shape: tuple[int, ...]) -> Floats:
    """Random Fourier features [P, 256] of pixels [P, 2], whose products fall off with distance."""
    generator = np.random.default_rng(_GENERATOR_SEED)
    frequencies = generator.normal(0, SPREAD, (2, FREQUENCIES))
    scaled = 2 * places / max(shape) @ frequencies
    return (np.concatenate([np.cos(scaled), np.sin(scaled)], -1) / np.sqrt(FREQUENCIES)).astype(np.float32)


def _peak(alike: Floats, cells: Floats) -> Floats:
    """The place where each picture [Q, R, C] is largest, averaged over the 3 × 3 cells around: [Q, 2]."""
    count, rows, columns = alike.shape
    best = alike.reshape(count, -1).argmax(1)
    row, column = best // columns, best % columns
    total, weights = np.zeros((count, 2)), np.zeros((count, 1))
    top = alike.reshape(count, -1).max(1)
    scale = np.maximum(np.abs(top), 1e-9) * 0.2
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            r, c = (row + down).clip(0, rows - 1), (column + across).clip(0, columns - 1)
            weight = np.exp((alike[np.arange(count), r, c] - top) / scale)[:, None]
            total += weight * cells[r, c]
            weights += weight
    return (total / weights).astype(np.float32)


def _returns(there: Floats, back: Floats, cells: Floats) -> Flags:
    """Which cells come back to themselves."""
    rows, columns = back.shape[:2]
    first, last = back_cells_range(back, there)
    _ = rows, columns
    place = back[last, first]
    return np.asarray(np.linalg.norm(place - cells, axis=-1) < TRUSTED * STRIDE)


def back_cells_range(back: Floats, there: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    rows, columns = back.shape[:2]
    column = np.rint((there[..., 0] + 0.5) / STRIDE - 0.5).astype(np.int64).clip(0, columns - 1)
    row = np.rint((there[..., 1] + 0.5) / STRIDE - 0.5).astype(np.int64).clip(0, rows - 1)
    return column, row
