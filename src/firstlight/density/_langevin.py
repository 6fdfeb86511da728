"""The noise of 3DGS-MCMC (Kheradmand et al. 2024): Langevin steps for what is nearly transparent."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from firstlight.scene.rotation import quat_to_rotmat

FADING_AT = 0.005  # opacity at which noise has half its strength
STEEPNESS = 100.0  # how sharply it fades there
_INAUDIBLE = 14.5  # steepness × opacities further up, noise has faded below 1e-6 of its strength


def shaken(
    means: Tensor,  # [N, 3]
    quats: Tensor,  # [N, 4]
    log_scales: Tensor,  # [N, 3]
    logit_opacities: Tensor,  # [N]
    strength: float,
    fading_at: float = FADING_AT,
    steepness: float = STEEPNESS,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Rows [M] of Gaussians faint enough to be moved, and their means [M, 3] after a step of noise.

    The noise is shaped like each Gaussian, ``strength`` times its covariance times standard normal numbers,
    and fades with opacity; above ``fading_at`` + 14.5 / ``steepness`` it is left out.
    """
    loudest = torch.tensor(fading_at + _INAUDIBLE / steepness, dtype=torch.float64)
    rows = (logit_opacities < float(torch.logit(loudest.clamp(max=1)))).nonzero().squeeze(-1)
    if len(rows) == 0 or strength == 0:
        return rows, means[rows]
    drawn = torch.randn(len(rows), 3, dtype=means.dtype, device=means.device, generator=generator)
    faded = strength * torch.sigmoid(steepness * (fading_at - logit_opacities[rows].sigmoid()))
    return rows, displaced(means, quats, log_scales, rows, drawn * faded[:, None])


def displaced(means: Tensor, quats: Tensor, log_scales: Tensor, rows: Tensor, push: Tensor) -> Tensor:
    """The means [N, 3] of ``rows`` [M] moved by Σ · ``push`` [M, 3], Σ being each one's covariance: [M, 3].

    It runs at every step, often for most Gaussians; as torch operations it writes some twenty arrays of
    that length, which is what it does where tensors are no float32 of the CPU.
    """
    inputs = (means, quats, log_scales)
    if any(tensor.device.type != "cpu" or tensor.dtype != torch.float32 for tensor in inputs):
        rotation, variances = quat_to_rotmat(quats[rows]), (2 * log_scales[rows]).exp()
        along = variances[..., None] * (rotation.mT @ push[..., None])
        return torch.add(means[rows], (rotation @ along).squeeze(-1))
    moved = torch.empty(len(rows), 3)
    _displace(*(tensor.detach().numpy() for tensor in (*inputs, rows, push, moved)))
    return moved


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
