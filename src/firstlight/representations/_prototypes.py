"""One Gaussian that stands for several: by moments, and which ones go together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from firstlight.representations._kmeans import Floats, kmeans
from firstlight.scene import Gaussians
from firstlight.scene.rotation import proper, quat_to_rotmat, rotmat_to_quat

SHAPE, COLOUR, OPACITY = 0.1, 0.5, 0.05  # of a feature, where the distance to the middle of a group is 1
MOST_COVER = 4.0  # times that members' areas may cover their prototype


def features(gaussians: Gaussians) -> Floats:
    """Of one group, for K-means [n, 13]: place over the group's radius, shape, colour and opacity.

    The shape is the logarithm of the covariance: of quaternions, whose signs mean nothing, no mean can be
    taken.
    """
    place = gaussians.means - gaussians.means.mean(0)
    radius = place.norm(dim=1).mean().clamp(min=1e-12)
    logs = log_covariances(gaussians)
    above = logs[:, [0, 0, 1], [1, 2, 2]] * 2**0.5
    shape = torch.cat([logs.diagonal(dim1=1, dim2=2), above], 1)
    parts = (
        place / radius,
        SHAPE * shape,
        COLOUR * gaussians.sh[:, 0],
        OPACITY * gaussians.logit_opacities[:, None],
    )
    stacked: Floats = torch.cat(parts, 1).double().numpy()
    return stacked


def log_covariances(gaussians: Gaussians) -> Tensor:
    """Logarithms of the covariance matrices [n, 3, 3], differentiable; they know no order of axes."""
    axes = quat_to_rotmat(gaussians.quats)
    logs: Tensor = (axes * 2 * gaussians.log_scales[:, None, :]) @ axes.mT
    return logs


def merged(gaussians: Gaussians, weights: Tensor, label: Tensor, count: int) -> Gaussians:
    """The prototypes [count] of ``gaussians`` [n], each of which belongs to ``label`` [n].

    Place and colour are means by ``weights`` [n] > 0, the covariance is that of the weighted mixture, and the
    opacity is the mean's, raised where members cover more than their prototype does. Alone, a Gaussian stays
    as it is.
    """
    share = weights.double() / _sums(weights.double(), label, count)[label]
    exact = gaussians.to(torch.float64)

    def mean(values: Tensor) -> Tensor:
        flat = values.reshape(len(values), -1) * share[:, None]
        return _sums(flat, label, count).reshape(count, *values.shape[1:])

    means = mean(exact.means)
    off = exact.means - means[label]
    covariances = mean(exact.covariances + off[:, :, None] * off[:, None, :])
    variances, axes = torch.linalg.eigh(covariances)
    log_scales = variances.clamp(min=1e-20).log() / 2
    cover = _sums(_area(exact.log_scales), label, count) / _area(log_scales)
    faint = (1 - mean(exact.opacities)).clamp(1e-6, 1 - 1e-6)
    opacities = 1 - faint ** cover.clamp(1, MOST_COVER)
    quats = rotmat_to_quat(proper(axes))
    prototypes = Gaussians(means, quats, log_scales, opacities.clamp(max=1 - 1e-6).logit(), mean(exact.sh))
    return prototypes.to(torch.float32)


def prototypes_of(gaussians: Gaussians, weights: Tensor, count: int, rng: np.random.Generator) -> Gaussians:
    """At most ``count`` prototypes of one group of ``gaussians``."""
    # Members without weight would have no mean; where none has any, all count alike.
    weights = weights.double().clamp(min=1e-12 * (float(weights.max()) or 1.0))
    label = kmeans(features(gaussians), weights.numpy(), count, rng)
    used, place = np.unique(label, return_inverse=True)
    return merged(gaussians, weights, torch.from_numpy(place.astype(np.int64)), len(used))


def _area(log_scales: Tensor) -> Tensor:
    """Of the largest outline, but for a constant [n]."""
    area: Tensor = log_scales.topk(2, dim=1).values.sum(1).exp()
    return area


def _sums(values: Tensor, label: Tensor, count: int) -> Tensor:
    return values.new_zeros(count, *values.shape[1:]).index_add_(0, label, values)
