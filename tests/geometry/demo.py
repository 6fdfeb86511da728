"""Photos of the demo with exact cameras, and sparse points such as structure from motion gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import torch

from firstlight.capture import load_demo
from firstlight.scene import Capture, Points

NEAR = (8, 11, 14)  # about 17° from one to the next
WIDE = (6, 11, 16)  # about 35°, from different heights


@cache
def three(index: tuple[int, ...] = NEAR, size: int = 160) -> Capture:
    """With exact cameras, exact depths and some 150 sparse points."""
    capture = load_demo(with_cameras=True).select(index).resized(size)
    return replace(capture, points=sparse_points(capture, range(len(index))))


def without_depth(capture: Capture) -> Capture:
    """As a camera gives it: nothing to look the answer up in."""
    return replace(capture, photos=[replace(photo, depth=None) for photo in capture.photos])


def sparse_points(capture: Capture, photos: Sequence[int]) -> Points:
    """Corners of each photo at their exact depth, tracked in every photo that shows them."""
    cameras = capture.cameras
    assert cameras is not None
    depths = [photo.depth() for photo in capture.photos if photo.depth is not None]
    Ks, viewmats = cameras.Ks.double().numpy(), cameras.viewmats.double().numpy()
    xyz: list[np.ndarray] = []
    tracks: list[tuple[int, int]] = []
    for i in photos:
        grey = cv2.cvtColor(capture.photos[i].decode().rgb, cv2.COLOR_RGB2GRAY)
        for x, y in cv2.goodFeaturesToTrack(grey, 80, 0.01, 4)[:, 0]:
            depth = depths[i][int(y), int(x)]
            if depth <= 0:
                continue
            local = np.linalg.inv(Ks[i]) @ [int(x) + 0.5, int(y) + 0.5, 1] * depth
            point = viewmats[i, :3, :3].T @ (local - viewmats[i, :3, 3])
            seen = [k for k in photos if _shown(point, Ks[k], viewmats[k], depths[k])]
            if len(seen) > 1:
                tracks += [(len(xyz), k) for k in seen]
                xyz.append(point)
    count = len(xyz)
    return Points(
        torch.from_numpy(np.stack(xyz)),
        torch.zeros(count, 3, dtype=torch.uint8),
        torch.ones(count, dtype=torch.float64),
        torch.tensor([point for point, _ in tracks]),
        torch.tensor([photo for _, photo in tracks]),
    )


def _shown(point: np.ndarray, K: np.ndarray, viewmat: np.ndarray, depth: np.ndarray) -> bool:
    x, y, z = K @ (viewmat[:3, :3] @ point + viewmat[:3, 3])
    if z <= 0 or not (0 <= x / z < depth.shape[1] and 0 <= y / z < depth.shape[0]):
        return False
    return bool(abs(depth[int(y / z), int(x / z)] / z - 1) < 0.02)
