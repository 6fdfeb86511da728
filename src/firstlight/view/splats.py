"""Gaussians as the page draws them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation
from scipy.special import expit
from torch import Tensor

from firstlight.scene import Gaussians
from firstlight.view.frame import Frame

Array = npt.NDArray[np.float32]

LARGEST_VARIANCE = 6e4  # the page keeps covariances in half precision, which ends at 65504


@dataclass(frozen=True, eq=False)
class Splats:
    """What viser's Gaussian splats take. Colours do not depend on where they are seen from: its client has
    no spherical harmonics, so only their constant part is shown."""

    centers: Array  # [N, 3] page units
    covariances: Array  # [N, 3, 3]
    rgbs: Array  # [N, 3] in [0, 1]
    opacities: Array  # [N, 1] in [0, 1]

    def __len__(self) -> int:
        return len(self.centers)

    def shown(self, minimal_opacity: float, size: float) -> Splats:
        """Those at least so opaque, ``size`` times as large."""
        keep = self.opacities[:, 0] >= minimal_opacity
        # Capped alike in every entry, so that a huge splat keeps its shape.
        largest = np.maximum(np.trace(self.covariances[keep], axis1=1, axis2=2), 1e-30)
        factor = np.minimum(np.float32(size * size), LARGEST_VARIANCE / largest)
        return Splats(
            self.centers[keep],
            self.covariances[keep] * factor[:, None, None],
            self.rgbs[keep],
            self.opacities[keep],
        )


def to_splats(gaussians: Gaussians, frame: Frame) -> Splats:
    """A copy in page units; Gaussians with NaN or infinity are left out.

    In NumPy, because its steps take one thread: a page that draws in software keeps every core busy, and
    torch's many small parallel steps then wait for each other, ten times longer than this takes.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        arrays = [
            frame.place(gaussians.means),
            _covariances(_array(gaussians.quats), _array(gaussians.log_scales), frame.to_page.scale),
            _array(gaussians.rgb),
            expit(_array(gaussians.logit_opacities))[:, None],
        ]
        finite = np.stack([np.isfinite(a.sum(axis=tuple(range(1, a.ndim)))) for a in arrays]).all(0)
    if not finite.all():
        arrays = [array[finite] for array in arrays]
    centers, covariances, rgbs, opacities = arrays
    return Splats(centers, covariances, rgbs.clip(0, 1), opacities)


def _covariances(quats: Array, log_scales: Array, scale: float) -> Array:
    """As ``Gaussians.covariances``, times scale² [N, 3, 3]."""
    quats[~quats.any(1)] = (1, 0, 0, 0)
    factor: Array = Rotation.from_quat(quats[:, [1, 2, 3, 0]]).as_matrix().astype(np.float32)
    factor *= np.float32(scale) * np.exp(log_scales)[:, None, :]
    covariances = np.empty_like(factor)
    for i in range(3):
        for j in range(i, 3):
            product = factor[:, i] * factor[:, j]
            covariances[:, i, j] = covariances[:, j, i] = product[:, 0] + product[:, 1] + product[:, 2]
    return covariances


def _array(tensor: Tensor) -> Array:
    return np.array(tensor.detach().cpu().numpy(), np.float32)
