"""Depth, surface direction and confidence of one photo, in six bytes a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_STEPS = 65_535  # of the logarithm of depth
_TURN = 127  # steps of a direction's coordinate between 0 and 1
_SURE = 255  # steps of confidence


@dataclass(frozen=True, eq=False)
class DepthMap:
    """What is known about the surface behind each pixel of a photo at working size.

    Kept small, because there is one for each photo: the logarithm of depth in 16 bits (to 1e-4 of the depth
    where the farthest point is a thousand times as far as the nearest), normals to half a degree, and
    confidence in 8 bits. ``depth``, ``normals`` and ``confidence`` unpack them.
    """

    log_depth: npt.NDArray[np.uint16]  # [H, W] 0 = unknown; 1 … 65535 from the nearest to the farthest
    directions: npt.NDArray[np.int8]  # [H, W, 3]
    sure: npt.NDArray[np.uint8]  # [H, W]
    nearest: float  # scene units
    farthest: float

    @staticmethod
    def pack(depth: Floats, normals: Floats, confidence: Floats) -> DepthMap:
        """depth: [H, W] z-depth, 0 = unknown; normals: [H, W, 3] unit; confidence: [H, W] in [0, 1]."""
        known = depth > 0
        nearest = float(depth[known].min()) if known.any() else 1.0
        farthest = max(float(depth[known].max()) if known.any() else 1.0, nearest * (1 + 1e-6))
        share = np.log(np.where(known, depth, nearest) / nearest) / np.log(farthest / nearest)
        steps = 1 + np.clip(np.rint(share * (_STEPS - 1)), 0, _STEPS - 1)
        return DepthMap(
            np.where(known, steps, 0).astype(np.uint16),
            np.rint(normals * _TURN).astype(np.int8),
            np.rint(np.clip(confidence, 0, 1) * _SURE).astype(np.uint8),
            nearest,
            farthest,
        )

    @staticmethod
    def empty(shape: tuple[int, int]) -> DepthMap:
        """Nothing is known."""
        zero = np.zeros(shape, np.float32)
        return DepthMap.pack(zero, np.zeros((*shape, 3), np.float32), zero)

    @property
    def shape(self) -> tuple[int, int]:
        return self.log_depth.shape[0], self.log_depth.shape[1]

    @property
    def depth(self) -> Floats:
        """z-depth [H, W] in scene units, 0 = unknown."""
        table = np.geomspace(self.nearest, self.farthest, _STEPS)
        return np.concatenate([[0.0], table]).astype(np.float32)[self.log_depth]

    @property
    def inverse_depth(self) -> Floats:
        """1 / depth [H, W], 0 = unknown."""
        table = 1 / np.geomspace(self.nearest, self.farthest, _STEPS)
        return np.concatenate([[0.0], table]).astype(np.float32)[self.log_depth]

    @property
    def normals(self) -> Floats:
        """Unit vectors [H, W, 3] in the camera's axes, turned towards it."""
        rough = self.directions.astype(np.float32)
        return np.asarray(rough / np.maximum(np.linalg.norm(rough, axis=-1, keepdims=True), 1.0), np.float32)

    @property
    def confidence(self) -> Floats:
        """[H, W] in [0, 1]; 0 where the depth is unknown."""
        return self.sure.astype(np.float32) / np.float32(_SURE)
