"""Starts from a dense cloud: EDGS and InstantSplat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from firstlight.errors import InputError
from firstlight.sampling import draw_distinct
from firstlight.scene import Capture, Cloud, Gaussians
from firstlight.starts._sizes import sizes
from firstlight.starts.points_or_random import PointsOrRandom
from firstlight.starts.sfm_points import SfmPoints


def dense_cloud(capture: Capture) -> Cloud:
    """The capture's cloud. InputError when there is none, or an empty one."""
    if capture.cloud is None or len(capture.cloud) == 0:
        raise InputError(
            f"The photos ({capture.layout}) come without a dense cloud, or no two of them show the same "
            "surface. Choose a --geometry, or a recipe that starts from sparse points."
        )
    return capture.cloud


@dataclass(frozen=True)
class EdgsStart:
    """Triangulated dense matches, as many as the fit shall have: nothing needs to grow.

    EDGS (Kotovenko et al. 2025). Pixels whose confidence passes ``surest`` are drawn alike, others by their
    confidence, which spreads the draw over the picture as the paper's does. A Gaussian is round, half opaque,
    and as wide as half the gap between drawn pixels, at least half a pixel: the paper's 0.001 × distance is
    about that at its sizes. The cloud is firstlight's stereo, not the paper's pretrained matcher.
    """

    count: int = 40_000
    opacity: float = 0.5
    surest: float = 0.05
    needs_geometry: ClassVar[bool] = True

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no dense cloud."""
        cloud = dense_cloud(capture)
        weights = torch.where(cloud.confidences > self.surest, 1.0, cloud.confidences + 1e-6)
        drawn = cloud.select(draw_distinct(weights, self.count, generator).sort().values)
        gap = (len(cloud) / len(drawn)) ** 0.5
        return Gaussians.isotropic(
            drawn.xyz, drawn.rgb.float() / 255, drawn.widths * max(0.5, gap / 2), self.opacity
        )


@dataclass(frozen=True)
class InstantStart:
    """One Gaussian for each pixel that no surer photo shows, as wide as the gap to its neighbours.

    InstantSplat (Fan et al. 2024). Of more than ``most`` some are drawn at random, surer ones more often.
    """

    most: int = 60_000
    opacity: float = 0.1
    needs_geometry: ClassVar[bool] = True

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras or no dense cloud."""
        cloud = dense_cloud(capture)
        if capture.cameras is None:
            raise InputError(f"The photos ({capture.layout}) have no camera poses: none to start from.")
        cloud = cloud.select(draw_distinct(cloud.confidences + 1e-6, self.most, generator).sort().values)
        widths = sizes(cloud.xyz.double(), capture.cameras, neighbours=3, scale=1.0).float()
        return Gaussians.isotropic(cloud.xyz, cloud.rgb.float() / 255, widths, self.opacity)


@dataclass(frozen=True)
class CloudAndPoints:
    """``InstantStart`` and the sparse points beside it; where there is no cloud, sparse or random ones alone.

    Stereo says nothing where surfaces are bare or seen by one photo only, and sparse points are few where
    they are textured finely: the two miss different things.
    """

    most: int = 8_000  # of the dense ones
    opacity: float = 0.1

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras."""
        if capture.cloud is None or len(capture.cloud) == 0:
            return PointsOrRandom(self.opacity)(capture, generator)
        dense = InstantStart(self.most, self.opacity)(capture, generator)
        sparse = SfmPoints(self.opacity)
        if sparse.found_in(capture) == 0:
            return dense
        return dense.append(sparse(capture, generator))


@dataclass(frozen=True)
class CloudStart:
    """``count`` points of the cloud, drawn alike, in the place of sparse points."""

    count: int = 10_000
    opacity: float = 0.1
    needs_geometry: ClassVar[bool] = True

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras or no dense cloud."""
        chosen = replace(capture, cloud=_some(dense_cloud(capture), self.count, generator))
        return InstantStart(self.count, self.opacity)(chosen, generator)


def _some(cloud: Cloud, count: int, generator: torch.Generator) -> Cloud:
    return cloud.select(torch.randperm(len(cloud), generator=generator)[:count].sort().values)
