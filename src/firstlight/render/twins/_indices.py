"""Twin of the lists of splats and pixels."""

import torch
from torch import Tensor

from firstlight.render.twins._blend import pixel_centers


def rasterize_to_indices(
    means2d: Tensor,  # [I, N, 2]
    conics: Tensor,  # [I, N, 3]
    opacities: Tensor,  # [I, N]
    depths: Tensor,  # [I, N]
    width: int,
    height: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """All splats over all pixels, no tiles: Gaussian, pixel and image numbers by image, pixel and depth."""
    pixels = pixel_centers(0, 0, width, height, means2d)
    found = []
    for image in range(len(means2d)):
        order = torch.argsort(depths[image], stable=True)
        d = pixels[:, None] - means2d[image, order]
        a, b, c = conics[image, order].unbind(-1)
        power = 0.5 * (a * d[..., 0] ** 2 + c * d[..., 1] ** 2) + b * d[..., 0] * d[..., 1]
        alpha = (opacities[image, order] * torch.exp(-power)).clamp(max=0.99)
        seen = alpha >= 1 / 255
        left = torch.cumprod(torch.where(seen, 1 - alpha, 1), 1)
        pixel, place = torch.nonzero(seen & (left > 1e-4), as_tuple=True)
        found.append(torch.stack([order[place], pixel, torch.full_like(pixel, image)]))
    gaussian_ids, pixel_ids, image_ids = torch.cat(found, 1)
    return gaussian_ids, pixel_ids, image_ids
