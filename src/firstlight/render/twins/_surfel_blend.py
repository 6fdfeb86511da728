"""Twin of the blending of surfels."""

from collections.abc import Callable

import torch
from torch import Tensor

from firstlight.render.twins._blend import pixel_centers


def surfel_alphas(
    means2d: Tensor,  # [S, 2]
    ray_transforms: Tensor,  # [S, 3, 3]
    opacities: Tensor,  # [S]
    pixels: Tensor,  # [P, 2] pixel centres
    exp: Callable[[Tensor], Tensor] = torch.exp,
) -> Tensor:
    """What each surfel hides of each pixel [P, S]; 0 where that is less than 1/255."""
    a, b, w = ray_transforms.unbind(-2)
    x, y = pixels[:, None, :1], pixels[:, None, 1:]
    hit = torch.linalg.cross(x * w - a, y * w - b)  # homogeneous (u, v) [P, S, 3]
    meets = hit[..., 2] != 0
    itself = hit[..., :2].square().sum(-1) / torch.where(meets, hit[..., 2], 1.0).square()
    filtered = 2 * (pixels[:, None] - means2d).square().sum(-1)
    alpha = (opacities * exp(-0.5 * torch.minimum(itself, filtered))).clamp(max=0.99)
    return torch.where(meets & (alpha >= 1 / 255), alpha, 0.0)


def blend_surfels(
    means2d: Tensor,  # [S, 2] front to back
    ray_transforms: Tensor,  # [S, 3, 3]
    colors: Tensor,  # [S, D]
    opacities: Tensor,  # [S]
    normals: Tensor,  # [S, 3]
    pixels: Tensor,  # [P, 2] pixel centres
    background: Tensor | None = None,  # [D]
    exp: Callable[[Tensor], Tensor] = torch.exp,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Colours [P, D], alphas [P], normals [P, 3], distortions [P] and medians [P], with no early stop."""
    alpha = surfel_alphas(means2d, ray_transforms, opacities, pixels, exp)
    through = torch.cumprod(torch.cat([alpha.new_ones(len(alpha), 1), 1 - alpha], 1), 1)  # [P, S + 1]
    weights = alpha * through[:, :-1]
    picture = weights @ colors
    if background is not None:
        picture = picture + through[:, -1:] * background
    depths = colors[:, -1]
    spread = torch.tril(depths[:, None] - depths, -1)  # of each pair once, the further less the nearer
    distortions = 2 * torch.einsum("pi,ij,pj->p", weights, spread, weights)
    seen = (alpha > 0) & (through[:, :-1] > 0.5)
    numbers = torch.nn.functional.pad(seen * torch.arange(1, len(depths) + 1), (1, 0))
    medians = torch.cat([depths.new_zeros(1), depths])[numbers.amax(-1)]
    return picture, 1 - through[:, -1], weights @ normals, distortions, medians


def rasterize_to_pixels_2dgs(
    means2d: Tensor,  # [I, N, 2]
    ray_transforms: Tensor,  # [I, N, 3, 3]
    colors: Tensor,  # [I, N, D]
    opacities: Tensor,  # [I, N]
    normals: Tensor,  # [I, N, 3]
    width: int,
    height: int,
    tile_size: int,
    isect_offsets: Tensor,  # [I, tile_height, tile_width]
    flatten_ids: Tensor,  # [n_isects]
    backgrounds: Tensor | None = None,  # [I, D]
    exp: Callable[[Tensor], Tensor] = torch.exp,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Colours [I, H, W, D], alphas [I, H, W, 1], normals, distortions and medians from the tiles' lists."""
    images, tile_height, tile_width = isect_offsets.shape
    surfels = [t.flatten(0, 1) for t in (means2d, ray_transforms, colors, opacities, normals)]
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
                maps = blend_surfels(
                    surfels[0][ids], surfels[1][ids], surfels[2][ids], surfels[3][ids], surfels[4][ids],
                    pixel_centers(x0, y0, x1, y1, means2d),
                    None if backgrounds is None else backgrounds[image],
                    exp,
                )  # fmt: skip
                tiles.append(torch.cat([t.view(y1 - y0, x1 - x0, -1) for t in maps], -1))
            rows.append(torch.cat(tiles, 1))
        pictures.append(torch.cat(rows, 0))
    whole, depth = torch.stack(pictures), colors.shape[-1]
    picture, alphas, facing = whole[..., :depth], whole[..., depth : depth + 1], whole[..., depth + 1 : -2]
    return picture, alphas, facing, whole[..., -2:-1], whole[..., -1:]
