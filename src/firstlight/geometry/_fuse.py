"""Depth maps → one cloud of points without repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from firstlight.geometry._agreement_kernels import agree, covered
from firstlight.geometry._depth_map import DepthMap
from firstlight.geometry._views import View, as_sources
from firstlight.scene import Cloud, Photo

Floats = npt.NDArray[np.float32]

SHARE = 0.03  # of inverse depth, by which two views may disagree for each pixel by which they may
NOISE = 0.3  # pixels, to which pictures are matched where the depth maps agree fully
DOUBTFUL = 0.03  # relative standard deviation of depth that halves confidence
COARSER = 2.0  # times larger pixels of another view do not stand for this one's
LEAST = 0.05  # confidence below which a pixel is given up
SPECKLE = 1e-3  # share of a photo's pixels; fewer that hang together stand for nothing
JUMP = 0.02  # relative difference of depth across which neighbouring pixels do not hang together


@dataclass(frozen=True, eq=False)
class Checked:
    """One photo's depth map after it was held against those of its neighbours."""

    map: DepthMap
    sigma: npt.NDArray[np.float16]  # [H, W] relative standard deviation of depth


def check(
    view: View, found: DepthMap, others: Sequence[View], maps: Sequence[DepthMap], pixels: float
) -> Checked:
    """Keep what at least one neighbour agrees with, at the depth that they find together.

    Views agree up to ``pixels``. Confidence is how alike the pictures are × how certain the depth is × the
    share of doubt that agreeing neighbours take: ½ for one, ¾ for two …
    """
    w = found.inverse_depth
    mean, sigma = np.zeros_like(w), np.zeros_like(w)
    votes = np.zeros(w.shape, np.uint8)
    if others:
        sources = as_sources(view, others, [one.inverse_depth for one in maps])
        agree(w, sources, pixels, SHARE * pixels, NOISE, mean, sigma, votes)
    relative = sigma / np.maximum(mean, 1e-12)
    agreeing = np.unpackbits(votes[..., None], axis=-1).sum(-1)
    confidence = found.confidence * (1 - 0.5**agreeing) / (1 + (relative / DOUBTFUL) ** 2)
    known = (mean > 0) & (confidence >= LEAST)
    depth = np.where(known, 1 / np.maximum(mean, 1e-12), 0).astype(np.float32)
    known &= ~_speckles(depth)
    depth = np.where(known, depth, 0).astype(np.float32)
    return Checked(
        DepthMap.pack(depth, found.normals, np.where(known, confidence, 0).astype(np.float32)),
        relative.astype(np.float16),
    )


def _speckles(depth: Floats) -> npt.NDArray[np.bool_]:
    """Known pixels [H, W] in islands too small to be believed: wrong depths agree by chance, not widely."""
    known = depth > 0
    # OpenCV compares 16-bit levels: of the logarithm, ``steps`` apart where depth jumps.
    steps = 8
    levels = np.log(np.where(known, depth, 1)) * (steps / JUMP)
    first = levels[known].min(initial=np.inf)
    shown = np.where(known, np.minimum(levels - first + 1, 32_000), 0).astype(np.int16)
    left, _ = cv2.filterSpeckles(shown.copy(), 0, int(SPECKLE * depth.size), steps)
    return np.asarray(known & (np.asarray(left) == 0))


def fuse(
    views: Sequence[View], photos: Sequence[Photo], neighbours: Sequence[Sequence[int]],
    checked: Sequence[Checked], pixels: float, most: int, generator: np.random.Generator,
) -> Cloud:  # fmt: skip
    """One point for each pixel whose surface no surer photo shows as finely (InstantSplat's filtering).

    More than ``most`` points are thinned out at random, each photo by the same share.
    """
    order = sorted(range(len(views)), key=lambda i: (-float(checked[i].map.confidence.mean()), i))
    kept: list[npt.NDArray[np.bool_]] = [np.zeros(0, np.bool_)] * len(views)
    for rank, i in enumerate(order):
        related = [k for k in order[:rank] if k in neighbours[i] or i in neighbours[k]]
        kept[i] = _not_told(i, related, views, checked, pixels)
    share = min(1.0, most / max(1, sum(int(mask.sum()) for mask in kept)))
    parts = []
    for i, mask in enumerate(kept):
        if share < 1:
            mask &= generator.random(mask.shape) < share
        parts.append(_points(i, mask, views[i], photos[i], checked[i], share))
    return Cloud.joined(parts)


def _not_told(
    i: int, related: Sequence[int], views: Sequence[View], checked: Sequence[Checked], pixels: float
) -> npt.NDArray[np.bool_]:
    """Pixels of photo ``i`` that have a depth which none of the ``related`` photos has as well."""
    w = checked[i].map.inverse_depth
    known = np.asarray(w > 0)
    if related:
        told = np.zeros(w.shape, np.uint8)
        sources = as_sources(
            views[i], [views[k] for k in related], [checked[k].map.inverse_depth for k in related]
        )
        focals = np.array([views[k].K[0, 0] for k in related], np.float32)
        covered(w, views[i].K[0, 0], sources, focals, pixels, SHARE * pixels, COARSER, told)
        known &= told == 0
    return known


def _points(
    i: int, mask: npt.NDArray[np.bool_], view: View, photo: Photo, checked: Checked, share: float
) -> Cloud:
    """The cloud of one photo's pixels in ``mask``, which are a ``share`` of those that it was to have."""
    rows, columns = np.nonzero(mask)
    depth = checked.map.depth[mask].astype(np.float64)
    pixels = np.stack([columns, rows, np.ones(len(rows))], -1)
    local = depth[:, None] * (pixels @ np.linalg.inv(view.K).T)
    turn = view.viewmat[:3, :3]
    columns_of = {
        "xyz": local @ turn + view.center,
        "normals": checked.map.normals[mask] @ turn,
        "widths": depth / np.sqrt(view.K[0, 0] * view.K[1, 1] * share),
        "sigmas": checked.sigma[mask] * np.linalg.norm(local, axis=1),
        "confidences": checked.map.confidence[mask],
    }
    return Cloud(
        rgb=torch.from_numpy(photo.decode().rgb[mask]),
        photos=torch.full((len(rows),), i),
        **{name: torch.from_numpy(array.astype(np.float32)) for name, array in columns_of.items()},
    )
