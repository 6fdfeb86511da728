"""A scene as trees: leaves know their place and opacity, and share what is known on the way to the root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding

from firstlight.scene.gaussians import Gaussians

Network = tuple[Tensor, ...]  # weights [out, in] and biases [out] of one layer after the other

_WAVES = 3  # octaves in which a leaf's place is told to the networks
WAVE_WIDTH = 3 + 6 * _WAVES


@dataclass(eq=False)
class Forest:
    """L leaves on B branches of R trees, decoded to as many Gaussians (GaussianForest, arXiv 2406.08759).

    Two small networks read the features of a leaf's branch and root and where it is in its tree; one says
    its shape, the other its colour. What a colour does with the direction of view are harmonics, so that
    Gaussians are all that there is to know of it.
    """

    means: Tensor  # [L, 3] scene units
    logit_opacities: Tensor  # [L]
    branch: Tensor  # [L] int64, that a leaf is on
    branches: Tensor  # [B, …] features
    root: Tensor  # [B] int64, that a branch is of
    roots: Tensor  # [R, …] features
    places: Tensor  # [R, 3] scene units
    units: Tensor  # [R] scene units, how large a tree is
    shape: Network  # → log-scales over the tree's unit, and a quaternion
    colour: Network  # → harmonics

    def __len__(self) -> int:
        return len(self.means)

    def tensors(self) -> dict[str, Tensor]:
        """Name → tensor; layers of networks are 'shape.0' and so on."""
        rows = ("means", "logit_opacities", "branch", "branches", "root", "roots", "places", "units")
        return {name: getattr(self, name) for name in rows} | self.weights()

    def weights(self) -> dict[str, Tensor]:
        """Those of the networks alone."""
        networks = (("shape", self.shape), ("colour", self.colour))
        return {f"{name}.{i}": layer for name, layers in networks for i, layer in enumerate(layers)}

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> Forest:
        """The inverse of ``tensors``."""
        t = dict(tensors)
        shape, colour = (
            tuple(t.pop(f"{name}.{i}") for i in range(sum(key.startswith(f"{name}.") for key in t)))
            for name in ("shape", "colour")
        )
        return Forest(
            t["means"], t["logit_opacities"], t["branch"], t["branches"], t["root"], t["roots"],
            t["places"], t["units"], shape, colour,
        )  # fmt: skip

    def gaussians(self) -> Gaussians:
        """The leaves, differentiable with respect to all that is no index."""
        root = self.root[self.branch]
        unit = self.units[root, None]
        place = (self.means - self.places[root]) / unit
        # Not ``branches[branch]``: its gradient sums in any order, and fits would differ from run to run.
        features = embedding(self.branch, self.branches), embedding(root, self.roots)
        known = torch.cat([*features, waves(place)], 1)
        shape, colour = run(self.shape, known), run(self.colour, known)
        return Gaussians(
            means=self.means,
            quats=shape[:, 3:] + shape.new_tensor([1.0, 0, 0, 0]),
            log_scales=shape[:, :3] + unit.log(),
            logit_opacities=self.logit_opacities,
            sh=colour.view(len(colour), -1, 3),
        )


def waves(place: Tensor) -> Tensor:
    """Numbers [N, 3] with their sines and cosines [N, 21], each octave twice as fast as the one before."""
    fast = torch.cat([place * 2**octave for octave in range(_WAVES)], 1)
    return torch.cat([place, fast.sin(), fast.cos()], 1)


def run(network: Network, values: Tensor) -> Tensor:
    """Linear layers with rectifiers between them: [N, in] → [N, out]."""
    for index in range(0, len(network), 2):
        if index:
            values = values.relu()
        values = torch.nn.functional.linear(values, network[index], network[index + 1])
    return values
