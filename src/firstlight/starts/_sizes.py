"""How large a first Gaussian is: as the gap to its neighbours, within what a picture can show."""

from __future__ import annotations

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from firstlight.scene import Cameras

SMALLEST = 0.5  # standard deviation in pixels of the nearest picture: less is drawn as this much anyway
LARGEST = 0.05  # of that picture's longer side: a Gaussian with no neighbours must not cover everything


def gaps(xyz: Tensor, neighbours: int) -> Tensor:
    """Root mean squared distance of points [P, 3] to their nearest ``neighbours``: [P].

    Infinite for a point that is alone.
    """
    k = min(neighbours, len(xyz) - 1)
    if k < 1:
        return torch.full((len(xyz),), torch.inf, dtype=torch.float64)
    distances, _ = cKDTree(xyz.numpy()).query(xyz.numpy(), k=k + 1, workers=-1)  # the nearest is itself
    return torch.from_numpy(distances[:, 1:]).square().mean(1).sqrt()


def sizes(xyz: Tensor, cameras: Cameras, neighbours: int, scale: float) -> Tensor:
    """Standard deviations [P] for round Gaussians at ``xyz`` [P, 3] float64: ``scale`` × the gap.

    Kept between half a pixel and a twentieth of the picture, as seen from the nearest camera.
    """
    pixel = footprints(xyz, cameras)
    longest = float(torch.maximum(cameras.width, cameras.height).max())
    return (scale * gaps(xyz, neighbours)).clamp(SMALLEST * pixel, LARGEST * longest * pixel)


def footprints(xyz: Tensor, cameras: Cameras) -> Tensor:
    """Width of a pixel at points [P, 3] in scene units, as seen from the nearest camera: [P]."""
    focal = cameras.Ks[:, [0, 1], [0, 1]].double().mean(-1)  # [C]
    finest = torch.full((len(xyz),), torch.inf, dtype=torch.float64)
    for center, length in zip(cameras.centers.double(), focal, strict=True):
        finest = torch.minimum(finest, (xyz - center).norm(dim=-1) / length)
    return finest.clamp(min=1e-12)
