"""The geometry-guided start of GDGS (2025): a network predicts centres, neighbours give shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from firstlight.errors import InputError
from firstlight.scene import Capture, Gaussians
from firstlight.scene.neighbours import local_planes, nearest
from firstlight.scene.rotation import rotmat_to_quat
from firstlight.starts._sizes import footprints, sizes
from firstlight.starts.sfm_points import SfmPoints, usable

SEEN_BY_NETWORK = 8  # neighbours of a point, from which the network is to tell where it is
FLATNESS = 0.1  # a first Gaussian's thickness over its width, at least


@dataclass(frozen=True)
class GuidedStart:
    """Flat Gaussians that lie in the planes of the sparse points around them.

    A small ReLU network learns to say where a point is from its eight nearest neighbours, with the point
    itself withheld: where it is wrong, noise is more likely than a surface. The Gaussian stands ``trust`` of
    the way from the point to where the network sees it; axes and widths are those of the neighbours'
    principal components. The paper's abstract names the network; what it is trained on was not to be had.
    """

    opacity: float = 0.1
    trust: float = 0.5
    neighbours: int = 16
    steps: int = 300
    max_error: float = 4.0  # pixels, as for ``SfmPoints``

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras or no usable points."""
        if capture.cameras is None or capture.points is None:
            raise InputError(f"The photos ({capture.layout}) come without cameras or points to start from.")
        points = capture.points.select(usable(capture.points, capture.cameras, self.max_error))
        if len(points) <= self.neighbours:
            return SfmPoints(self.opacity)(capture, generator)
        xyz = points.xyz.double()
        around = nearest(xyz, self.neighbours)
        predicted = _predicted(xyz, around[:, :SEEN_BY_NETWORK], self.steps, generator)
        means = torch.lerp(xyz, predicted, self.trust)
        planes = local_planes(xyz, around)
        gap = sizes(xyz, capture.cameras, neighbours=3, scale=1.0)
        # Widths share the gap as the spread of the neighbours is shared, the largest axis last.
        shape = planes.spreads / planes.spreads[:, 1:].prod(-1, keepdim=True).sqrt().clamp(min=1e-12)
        pixel = footprints(xyz, capture.cameras)
        scales = (gap[:, None] * shape.clamp(FLATNESS, 1 / FLATNESS)).maximum(pixel[:, None] / 2)
        start = Gaussians.isotropic(
            means.float(), points.rgb.float() / 255, torch.ones(len(points)), self.opacity
        )
        start.log_scales = scales.log().float()
        start.quats = rotmat_to_quat(planes.axes).float()
        return start


def _predicted(xyz: Tensor, around: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Where a network trained on all points sees each [P, 3], from its neighbours ``around`` [P, 8]."""
    neighbours = xyz[around]
    middle = neighbours.mean(1)
    reach = (neighbours - middle[:, None]).norm(dim=-1).mean(1).clamp(min=1e-12)
    inputs = ((neighbours - middle[:, None]) / reach[:, None, None]).flatten(1).float()
    wanted = ((xyz - middle) / reach[:, None]).float().clamp(-5, 5)
    network = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Linear):
                layer.weight.normal_(0, (2 / layer.in_features) ** 0.5, generator=generator)  # He et al. 2015
                layer.bias.zero_()
    adam = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(steps):
        rows = torch.randint(len(xyz), (min(len(xyz), 2048),), generator=generator)
        loss = (network(inputs[rows]) - wanted[rows]).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        said = network(inputs).double()
    places: Tensor = middle + reach[:, None] * said
    return places
