"""Dense matches of two photos without cameras: where each pixel of one lies in the other, and how surely."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from firstlight.geometry._coarse import Grid, coarse_warp
from firstlight.scene import Photo

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]

MAX_SIZE = 504  # pixels of the long side at which photos are matched
ROUNDS = 2  # of flow on the photo as warped so far
APART = 1.0  # pixels by which going there and back may miss, one standard deviation
OFF_LINE = 2.0  # pixels off the epipolar line, one standard deviation
UNLIKE = 0.5  # correlation of the photos below which a match counts half
_PATCH = 9  # pixels


@dataclass(frozen=True, eq=False)
class Matches:
    """For every pixel of photo a, its place in photo b. Pixels are those of the photos as they were given."""

    warp: Floats  # [h, w, 2] column and row in b; pixel centres are at +0.5
    certainty: Floats  # [h, w] in [0, 1]; 0 where the place is outside of b
    size_a: tuple[int, int]  # width and height of photo a, of which the arrays are a smaller picture
    size_b: tuple[int, int]

    @property
    def places(self) -> Floats:
        """Column and row in photo a of each element: [h, w, 2]."""
        height, width = self.certainty.shape
        column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        scale = np.array([self.size_a[0] / width, self.size_a[1] / height])
        return (np.stack([column, row], -1) * scale).astype(np.float32)


def match_photos(
    a: Photo, b: Photo, *, max_size: int = MAX_SIZE, fundamental: Doubles | None = None
) -> Matches:
    """Match every pixel of photo ``a`` to photo ``b``, as DKM does (Edstedt et al. 2023), without its network.

    A Gaussian process on upright dense SIFT gives a coarse warp; dense inverse search flow (Kroeger et al.
    2016), from ``a`` to ``b`` as warped so far, refines it. Certainty says how well the way there and back
    closes, how alike the patches are, and with ``fundamental`` (x_b^T F x_a = 0 in pixels, [3, 3]) how near
    to the epipolar line a match lies.

    Untrained features carry only so far: about 30° between the photos, no turn about the viewing axis, less
    than half or double the size. With known cameras, ``Geometry.matches`` is better in every way.
    """
    small_a, small_b = _small(a, max_size), _small(b, max_size)
    forward = _refined(small_a, small_b, coarse_warp(small_a, small_b))
    backward = _refined(small_b, small_a, coarse_warp(small_b, small_a))
    certainty = _closes(forward, backward) * _likeness(small_a, small_b, forward)
    size_a, size_b = (a.width, a.height), (b.width, b.height)
    scale = np.array([b.width / small_b.shape[1], b.height / small_b.shape[0]])
    found = Matches(((forward + 0.5) * scale).astype(np.float32), certainty, size_a, size_b)
    if fundamental is not None:
        certainty *= _near_line(found, fundamental, max(size_b) / max(small_b.shape))
    return found


def _small(photo: Photo, max_size: int) -> Bytes:
    return np.asarray(cv2.cvtColor(photo.resized(max_size).decode().rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _identity(shape: tuple[int, ...]) -> Floats:
    column, row = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    return np.stack([column, row], -1).astype(np.float32)


def _refined(a: Bytes, b: Bytes, coarse: Grid) -> Floats:
    """The coarse warp at every pixel [H, W, 2] (first centre at 0), moved to where the pictures fit best."""
    warp = coarse.at_every_pixel(a.shape[1], a.shape[0])
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for _ in range(ROUNDS):
        seen = cv2.remap(b, warp[..., 0], warp[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        moved = np.asarray(flow.calc(a, np.asarray(seen, np.uint8), None), np.float32)
        across, down = np.moveaxis(_identity(a.shape) + moved, -1, 0)
        warp = np.asarray(
            cv2.remap(warp, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
        )
    return warp


def _closes(forward: Floats, backward: Floats) -> Floats:
    """1 where the way there and back ends where it began, 0 where it leaves the other picture."""
    height, width = backward.shape[:2]
    back = cv2.remap(backward, forward[..., 0], forward[..., 1], cv2.INTER_LINEAR, borderValue=(-1e6, -1e6))
    miss = np.square(back - _identity(forward.shape)).sum(-1)
    inside = (forward >= 0).all(-1) & (forward[..., 0] <= width - 1) & (forward[..., 1] <= height - 1)
    return np.where(inside, np.exp(-miss / (2 * APART**2)), 0).astype(np.float32)


def _likeness(a: Bytes, b: Bytes, warp: Floats) -> Floats:
    """[0, 1]: correlation of patches around each pixel and its match; flat ones are like nothing."""
    one = a.astype(np.float32)
    other = cv2.remap(b, warp[..., 0], warp[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    other = other.astype(np.float32)

    def blurred(picture: Floats) -> Floats:
        return np.asarray(cv2.blur(picture, (_PATCH, _PATCH)), np.float32)

    mean_a, mean_b = blurred(one), blurred(other)
    variance_a, variance_b = blurred(one * one) - mean_a**2, blurred(other * other) - mean_b**2
    together = blurred(one * other) - mean_a * mean_b
    noise = 6.0  # variance of grey levels that is not texture
    correlation = together / np.sqrt((np.maximum(variance_a, 0) + noise) * (np.maximum(variance_b, 0) + noise))
    positive = np.clip(correlation, 0, 1) ** 2
    return np.asarray(positive / (positive + UNLIKE**2) * (1 + UNLIKE**2), np.float32)


def _near_line(found: Matches, fundamental: Doubles, pixel: float) -> Floats:
    ones = np.ones((*found.certainty.shape, 1))
    lines = np.concatenate([found.places, ones], -1) @ fundamental.T
    off = (np.concatenate([found.warp, ones], -1) * lines).sum(-1)
    distance = off / np.maximum(np.linalg.norm(lines[..., :2], axis=-1), 1e-12) / pixel
    return np.exp(-np.square(distance) / (2 * OFF_LINE**2)).astype(np.float32)
