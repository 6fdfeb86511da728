"""Twin of the scores."""

from collections.abc import Callable

import torch
from torch import Tensor

from firstlight.render.twins._blend import pixel_centers


def splat_scores(
    means2d: Tensor,  # [I, N, 2]
    conics: Tensor,  # [I, N, 3]
    opacities: Tensor,  # [I, N]
    depths: Tensor,  # [I, N]
    radii: Tensor,  # [I, N, 2]
    errors: Tensor,  # [I, H, W]
    exp: Callable[[Tensor], Tensor] = torch.exp,
) -> tuple[Tensor, ...]:
    """Σ w, pixels, largest w, Σ w error, Σ error, each [I, N]: all splats over all pixels."""
    images, height, width = errors.shape
    pixels = pixel_centers(0, 0, width, height, means2d)
    scores = torch.zeros(5, *opacities.shape, dtype=means2d.dtype)
    for image in range(images):
        order = torch.argsort(depths[image], stable=True)
        order = order[(radii[image, order] > 0).all(-1)]
        d = pixels[:, None] - means2d[image, order]
        a, b, c = conics[image, order].unbind(-1)
        power = 0.5 * (a * d[..., 0] ** 2 + c * d[..., 1] ** 2) + b * d[..., 0] * d[..., 1]
        alpha = (opacities[image, order] * exp(-power)).clamp(max=0.99)
        seen = alpha >= 1 / 255
        alpha = torch.where(seen, alpha, 0)
        through = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha], 1), 1)[:, :-1]
        weight, error = alpha * through, errors[image].reshape(-1, 1)
        sums = (weight.sum(0), seen.sum(0), weight.amax(0), (weight * error).sum(0), (seen * error).sum(0))
        for row, values in enumerate(sums):
            scores[row, image, order] = values.to(scores.dtype)
    return tuple(scores)
