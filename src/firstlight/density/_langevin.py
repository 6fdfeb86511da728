"""The noise of 3DGS-MCMC, in one pass over the Gaussians that it moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from firstlight.scene import Gaussians


def displaced(gaussians: Gaussians, rows: Tensor, push: Tensor) -> Tensor:
    """The means of ``rows`` [M] moved by Σ · ``push`` [M, 3], Σ being each one's covariance: [M, 3].

    It runs at every step, often for most Gaussians; as torch operations it would write some twenty
    arrays of that length.
    """
    means = torch.empty(len(rows), 3)
    _displace(
        gaussians.means.numpy(),
        gaussians.quats.numpy(),
        gaussians.log_scales.numpy(),
        rows.numpy(),
        push.numpy(),
        means.numpy(),
    )
    return means


@njit(parallel=True, cache=True, error_model="numpy")
def _displace(means: Any, quats: Any, log_scales: Any, rows: Any, push: Any, out: Any) -> None:
    for i in prange(rows.shape[0]):
        row = rows[i]
        w, x, y, z = quats[row, 0], quats[row, 1], quats[row, 2], quats[row, 3]
        double = 2 / max(w * w + x * x + y * y + z * z, 1e-24)
        # The rotation's columns are the Gaussian's axes: into them, times the variances, and back.
        a, b, c = double * (y * y + z * z), double * (x * x + z * z), double * (x * x + y * y)
        xy, xz, yz = double * x * y, double * x * z, double * y * z
        wx, wy, wz = double * w * x, double * w * y, double * w * z
        px, py, pz = push[i, 0], push[i, 1], push[i, 2]
        along_0 = (1 - a) * px + (xy + wz) * py + (xz - wy) * pz
        along_1 = (xy - wz) * px + (1 - b) * py + (yz + wx) * pz
        along_2 = (xz + wy) * px + (yz - wx) * py + (1 - c) * pz
        along_0 *= np.exp(2 * log_scales[row, 0])
        along_1 *= np.exp(2 * log_scales[row, 1])
        along_2 *= np.exp(2 * log_scales[row, 2])
        out[i, 0] = means[row, 0] + (1 - a) * along_0 + (xy - wz) * along_1 + (xz + wy) * along_2
        out[i, 1] = means[row, 1] + (xy + wz) * along_0 + (1 - b) * along_1 + (yz - wx) * along_2
        out[i, 2] = means[row, 2] + (xz - wy) * along_0 + (yz + wx) * along_1 + (1 - c) * along_2
