"""Dynamic density control of GDGS (geometry-guided 3D Gaussian Splatting, 2025)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from firstlight.density.strategy import Refinement
from firstlight.density.vanilla import Vanilla
from firstlight.render import splat_scores
from firstlight.scene import Gaussians
from firstlight.scene.rotation import quat_to_rotmat


@dataclass(frozen=True)
class Complexity(Vanilla):
    """Vanilla density control that grows sooner where the scene is complex, later where it is plain.

    The scene's box (its middle 98 %, axis by axis) is cut into ``cells``³. A cell is as complex as its mean
    photometric error and the variance of its surface normals say, half each, both in units of their largest
    value. A cell's gradient threshold is that of vanilla times exp(−z), z being how many standard deviations
    its complexity lies above the mean, kept within a half and twice; the opacity to stay moves alike.

    The paper's abstract names the idea; its numbers were not to be had, and these are a reading of it.
    """

    cells: int = 16
    views: int = 8  # looked at for the error

    def limited(self, most: int) -> Complexity:
        return replace(self, max_gaussians=most)

    def thresholds(self, gaussians: Gaussians, context: Refinement) -> tuple[Tensor, Tensor]:
        cell = _cells(gaussians.means, self.cells)
        errors = self._errors(len(gaussians), context)
        complexity = _by_largest(_means(errors, cell)) / 2 + _by_largest(_spread(gaussians, cell)) / 2
        above = (complexity - complexity.mean()) / complexity.std().clamp(min=1e-6)
        factor = (-above).exp().clamp(0.5, 2.0)
        return self.grow_gradient * factor, self.min_opacity * factor

    def _errors(self, count: int, context: Refinement) -> Tensor:
        """Mean error [N] of the pixels that each Gaussian helps to paint."""
        error, weight = torch.zeros(count), torch.zeros(count)
        places = context.some_views(self.views)
        for look in map(context.views.look, places):
            scores = splat_scores(look.meta, look.error[None])
            error += scores.error[0]
            weight += scores.weight[0]
        return error / weight.clamp(min=1e-6)


def _cells(means: Tensor, cells: int) -> Tensor:
    """The cell [N] that each mean lies in; those outside of the box belong to the nearest."""
    low, high = (torch.tensor([float(axis.quantile(q)) for axis in means.T]) for q in (0.01, 0.99))
    place = ((means - low) / (high - low).clamp(min=1e-12) * cells).long().clamp(0, cells - 1)
    number: Tensor = place[:, 0] * cells**2 + place[:, 1] * cells + place[:, 2]
    return number


def _means(values: Tensor, cell: Tensor) -> Tensor:
    """Each Gaussian's cell's mean of ``values`` [N, ...]."""
    _, place, counts = torch.unique(cell, return_inverse=True, return_counts=True)
    sums = values.new_zeros(len(counts), *values.shape[1:]).index_add_(0, place, values)
    means: Tensor = sums / counts.view(-1, *[1] * (values.dim() - 1))
    return means[place]


def _spread(gaussians: Gaussians, cell: Tensor) -> Tensor:
    """1 − the largest share of a cell's normals that one axis explains: 0 on a plane, ⅔ where all differ."""
    thinnest = gaussians.log_scales.argmin(-1)
    rotations = quat_to_rotmat(gaussians.quats)
    normals = rotations.gather(2, thinnest[:, None, None].expand(-1, 3, 1)).squeeze(-1)
    # The sign of a normal means nothing: second moments do not see it.
    moments = _means(normals[:, :, None] * normals[:, None, :], cell)
    largest: Tensor = torch.linalg.eigvalsh(moments)[:, -1]
    return 1 - largest


def _by_largest(values: Tensor) -> Tensor:
    return values / values.max().clamp(min=1e-12)
