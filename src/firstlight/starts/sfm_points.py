"""A start from sparse points, as in 3D Gaussian Splatting (Kerbl et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from firstlight.errors import InputError
from firstlight.scene import Cameras, Capture, Gaussians, Points
from firstlight.starts._sizes import footprints, sizes

FAR = 30.0  # times as far from the cameras as most points: only bad triangulations stand there


@dataclass(frozen=True)
class SfmPoints:
    """One round Gaussian a point, as wide as the gap to its ``neighbours`` nearest ones.

    Points that cannot be right are left out: those with a large reprojection error, behind a camera that
    saw them, or absurdly far away. The Gaussians have degree 0 and hold float32.
    """

    opacity: float = 0.1
    scale: float = 1.0  # times the gap
    neighbours: int = 3
    max_error: float = 4.0  # pixels; points of unknown error stay
    max_points: int = 200_000  # more than that are thinned out at random

    def found_in(self, capture: Capture) -> int:
        """How many points of ``capture`` can be used."""
        if capture.points is None or capture.cameras is None:
            return 0
        return int(usable(capture.points, capture.cameras, self.max_error).sum())

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras or no usable points."""
        if capture.cameras is None:
            raise InputError(f"The photos ({capture.layout}) have no camera poses: none to start from.")
        if capture.points is None or len(capture.points) == 0:
            raise InputError(
                f"The photos ({capture.layout}) come without sparse points. Use a random start (RandomBox)."
            )
        points = capture.points.select(usable(capture.points, capture.cameras, self.max_error))
        if len(points) == 0:
            raise InputError(
                f"None of the {len(capture.points)} sparse points can be used: all are inaccurate or behind "
                "the cameras. Check that poses and points belong together, or use a random start (RandomBox)."
            )
        if len(points) > self.max_points:
            chosen = torch.randperm(len(points), generator=generator)[: self.max_points]
            points = points.select(torch.zeros(len(points), dtype=torch.bool).index_fill_(0, chosen, True))
        xyz = points.xyz.double()
        return Gaussians.isotropic(
            means=xyz.float(),
            rgb=points.rgb.float() / 255,
            scales=sizes(xyz, capture.cameras, self.neighbours, self.scale).float(),
            opacity=self.opacity,
        )


def usable(points: Points, cameras: Cameras, max_error: float) -> Tensor:
    """Mask [P] of points that can be right."""
    xyz = points.xyz.double()
    keep = xyz.isfinite().all(1) & ~(points.error > max_error)
    if cameras.model in ("pinhole", "orthographic"):
        keep &= ~_behind(points, cameras)
    if keep.any():
        pixel = footprints(xyz, cameras)
        keep &= pixel <= FAR * pixel[keep].median()
    return keep


def _behind(points: Points, cameras: Cameras) -> Tensor:
    """Mask [P] of points that lie behind a camera that is said to have seen them."""
    seen_from = cameras.viewmats.double()[points.track_photo]  # [M, 4, 4]
    xyz = points.xyz.double()[points.track_point]
    depth = (seen_from[:, 2, :3] * xyz).sum(-1) + seen_from[:, 2, 3]
    behind = torch.zeros(len(points), dtype=torch.bool)
    behind[points.track_point[depth <= 0]] = True
    return behind
