"""Nearest neighbours, and the planes that they lie in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from firstlight.scene.rotation import proper


class Planes(NamedTuple):
    """Principal components of points around each of P points, the thinnest first."""

    centers: Tensor  # [P, 3] mean of the points around
    axes: Tensor  # [P, 3, 3] columns; a rotation
    spreads: Tensor  # [P, 3] standard deviations along them

    @property
    def normals(self) -> Tensor:
        """[P, 3] unit; the sign means nothing."""
        return self.axes[:, :, 0]


def nearest(points: Tensor, count: int) -> Tensor:
    """Indices [P, count] of the nearest other ``points`` [P, 3], nearest first; ``count`` < P."""
    _, index = cKDTree(points.detach().numpy()).query(points.detach().numpy(), k=count + 1, workers=-1)
    # A point need not come first where others share its place, and not at all where more than ``count`` do.
    itself = index == np.arange(len(index))[:, None]
    itself[:, -1] |= ~itself.any(1)
    return torch.from_numpy(index[~itself].reshape(-1, count))


def local_planes(points: Tensor, around: Tensor) -> Planes:
    """Planes of the points at ``around`` [P, K] for each of ``points`` [P, 3]."""
    group = points.detach().double()[around]
    centers = group.mean(1)
    offsets = group - centers[:, None]
    variances, axes = torch.linalg.eigh(offsets.mT @ offsets / around.shape[1])
    return Planes(centers, proper(axes), variances.clamp(min=0).sqrt())
