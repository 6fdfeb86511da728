"""A start that one pass of an incremental Gaussian mixture makes of a stream of points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from firstlight.errors import InputError
from firstlight.mixtures import IncrementalGMM
from firstlight.scene import Capture, Gaussians
from firstlight.scene.rotation import proper, rotmat_to_quat
from firstlight.starts._sizes import footprints
from firstlight.starts.sfm_points import usable


@dataclass(frozen=True)
class IgmnStart:
    """Each component of a mixture over (x, y, z, r, g, b) becomes a Gaussian of its shape and colour.

    Points come in random order, sparse ones and, where geometry was found, dense ones. Fast IGMN (Pinto and
    Engel 2015) proposes no such use: this is firstlight's, with the exact update of ``IncrementalGMM``. As a
    component that founds itself on a single point keeps the prior's size, ``delta`` sets the detail.
    """

    opacity: float = 0.1
    delta: float = 0.02  # a new component's standard deviations, over the points' middle half
    colour: float = 0.15  # standard deviation of colour that counts as much as that of place
    beta: float = 0.05
    max_points: int = 60_000  # more are drawn from at random
    max_components: int = 8000  # each point is compared with each: this bounds the seconds

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras or no usable points."""
        if capture.cameras is None:
            raise InputError(f"The photos ({capture.layout}) have no camera poses: none to start from.")
        stream = _stream(capture)
        order = torch.randperm(len(stream), generator=generator)[: self.max_points]
        points = stream[order].numpy()
        spread = np.array([_middle(points[:, :3])] * 3 + [self.colour / self.delta] * 3)
        mixture = IncrementalGMM(
            self.beta, self.delta, self.max_components, min_age=len(points), min_mass=0.0
        )
        mixture.partial_fit(points, spread)
        means = torch.from_numpy(mixture.means)
        variances, axes = torch.linalg.eigh(torch.from_numpy(mixture.covariances[:, :3, :3].copy()))
        scales = variances.clamp(min=0).sqrt()
        pixel = footprints(means[:, :3], capture.cameras)[:, None]
        start = Gaussians.isotropic(
            means[:, :3].float(), means[:, 3:].float().clamp(0, 1), torch.ones(len(means)), self.opacity
        )
        start.log_scales = scales.maximum(pixel / 2).log().float()
        start.quats = rotmat_to_quat(proper(axes)).float()
        return start


def _stream(capture: Capture) -> torch.Tensor:
    """Points [P, 6] float64: place, and colour in [0, 1]."""
    parts = []
    if capture.points is not None and capture.cameras is not None and len(capture.points):
        points = capture.points.select(usable(capture.points, capture.cameras, 4.0))
        parts.append(torch.cat([points.xyz.double(), points.rgb.double() / 255], -1))
    if capture.cloud is not None:
        parts.append(torch.cat([capture.cloud.xyz.double(), capture.cloud.rgb.double() / 255], -1))
    if not any(map(len, parts)):
        raise InputError(f"The photos ({capture.layout}) come without usable points to start from.")
    return torch.cat(parts)


def _middle(xyz: np.ndarray) -> float:
    """Mean over the axes of the distance between the quartiles."""
    low, high = np.quantile(xyz, [0.25, 0.75], axis=0)
    return float((high - low).mean())
