"""Twin of blending."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from firstlight.render._arrays import differentiable


class _Series(torch.autograd.Function):
    """The kernels' exp: a fifth-order series of x/8, squared three times; its own derivative, as there."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        t = (x / 8).clamp(min=-1)
        value = 1 + t * (1 + t / 2 * (1 + t / 3 * (1 + t / 4 * (1 + t / 5))))
        ctx.save_for_backward(value**8)
        return value**8

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Tensor:
        value: Tensor = ctx.saved_tensors[0]
        return v * value


def series_exp(x: Tensor) -> Tensor:
    """exp as the kernels compute it: 1.2e-3 of itself off at -5.5, where alpha can be 1/255."""
    value: Tensor = differentiable(_Series, x)
    return value


def blend(
    means2d: Tensor,  # [S, 2] front to back
    conics: Tensor,  # [S, 3]
    colors: Tensor,  # [S, D]
    opacities: Tensor,  # [S]
    pixels: Tensor,  # [P, 2] pixel centres
    background: Tensor | None = None,  # [D]
    exp: Callable[[Tensor], Tensor] = torch.exp,
) -> tuple[Tensor, Tensor]:
    """Colours [P, D] and alphas [P] of all splats over all given pixels, with no early stop."""
    d = pixels[:, None] - means2d  # [P, S, 2]
    a, b, c = conics.unbind(-1)
    power = 0.5 * (a * d[..., 0] ** 2 + c * d[..., 1] ** 2) + b * d[..., 0] * d[..., 1]
    return blend_alphas(opacities * exp(-power), colors, background)


def blend_alphas(unclamped: Tensor, colors: Tensor, background: Tensor | None) -> tuple[Tensor, Tensor]:
    """Colours [P, D] and alphas [P] from each splat's alpha at each pixel [P, S], front to back."""
    alpha = unclamped.clamp(max=0.99)
    alpha = torch.where(alpha >= 1 / 255, alpha, 0.0)
    through = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha], 1), 1)  # [P, S + 1]
    picture = (alpha * through[:, :-1]) @ colors
    if background is not None:
        picture = picture + through[:, -1:] * background
    return picture, 1 - through[:, -1]


def pixel_centers(x0: int, y0: int, x1: int, y1: int, like: Tensor) -> Tensor:
    """Centres of the pixels of a rectangle, row by row [P, 2]."""
    y, x = torch.meshgrid(torch.arange(y0, y1), torch.arange(x0, x1), indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2).to(like) + 0.5


def rasterize_to_pixels(
    means2d: Tensor,  # [I, N, 2]
    conics: Tensor,  # [I, N, 3]
    colors: Tensor,  # [I, N, D]
    opacities: Tensor,  # [I, N]
    width: int,
    height: int,
    tile_size: int,
    isect_offsets: Tensor,  # [I, tile_height, tile_width]
    flatten_ids: Tensor,  # [n_isects]
    backgrounds: Tensor | None = None,  # [I, D]
    exp: Callable[[Tensor], Tensor] = torch.exp,
) -> tuple[Tensor, Tensor]:
    """Colours [I, H, W, D] and alphas [I, H, W, 1] from the tiles' lists."""
    images, tile_height, tile_width = isect_offsets.shape
    centers, shapes, channels, seen = (t.flatten(0, 1) for t in (means2d, conics, colors, opacities))
    ends = torch.cat([isect_offsets.flatten()[1:], torch.tensor([len(flatten_ids)])]).view_as(isect_offsets)
    pictures = []
    for image in range(images):
        rows = []
        for row in range(tile_height):
            tiles = []
            for column in range(tile_width):
                place = (image, row, column)
                ids = flatten_ids[int(isect_offsets[place]) : int(ends[place])].long()
                x0, y0 = column * tile_size, row * tile_size
                x1, y1 = min(x0 + tile_size, width), min(y0 + tile_size, height)
                tile, alpha = blend(
                    centers[ids],
                    shapes[ids],
                    channels[ids],
                    seen[ids],
                    pixel_centers(x0, y0, x1, y1, means2d),
                    None if backgrounds is None else backgrounds[image],
                    exp,
                )
                tiles.append(torch.cat([tile, alpha[:, None]], -1).view(y1 - y0, x1 - x0, -1))
            rows.append(torch.cat(tiles, 1))
        pictures.append(torch.cat(rows, 0))
    picture = torch.stack(pictures)
    return picture[..., :-1], picture[..., -1:]
