"""Gaussians as the page draws them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

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


@torch.no_grad()
def to_splats(gaussians: Gaussians, frame: Frame) -> Splats:
    """A copy in page units; Gaussians with NaN or infinity are left out."""
    finite = gaussians.finite() & gaussians.scales.isfinite().all(1)
    kept = gaussians if bool(finite.all()) else gaussians.select(finite)
    covariances = kept.covariances * frame.to_page.scale**2
    return Splats(
        frame.place(kept.means),
        covariances.clamp(-3e38, 3e38).cpu().numpy().astype(np.float32, copy=False),
        kept.rgb.clamp(0, 1).cpu().numpy().astype(np.float32, copy=False),
        kept.opacities[:, None].cpu().numpy().astype(np.float32, copy=False),
    )
