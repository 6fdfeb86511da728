"""Splats into pixels."""

import math

import numpy as np
import torch
from torch import Tensor

from firstlight.render._arrays import Array, check_channels, check_shape, differentiable
from firstlight.render._blend_rule import Blend, Grid
from firstlight.render._errors import ShapeError
from firstlight.render._gsplat import cuda_by_gsplat
from firstlight.render._tiles import tiles_of


@cuda_by_gsplat
def rasterize_to_pixels(
    means2d: Tensor,  # [..., N, 2] or [nnz, 2]
    conics: Tensor,  # [..., N, 3] or [nnz, 3]
    colors: Tensor,  # [..., N, D] or [nnz, D]
    opacities: Tensor,  # [..., N] or [nnz]
    image_width: int,
    image_height: int,
    tile_size: int,
    isect_offsets: Tensor,  # [..., tile_height, tile_width] int32
    flatten_ids: Tensor,  # [n_isects] int32
    backgrounds: Tensor | None = None,  # [..., D]
    masks: Tensor | None = None,  # [..., tile_height, tile_width] bool
    packed: bool = False,
    absgrad: bool = False,
) -> tuple[Tensor, Tensor]:
    """Blend splats front to back (Kerbl et al. 2023; gsplat's interface).

    alpha = min(0.99, opacity · exp(-½ dᵀ conic d)), left out under 1/255; a tile is finished when all its
    pixels let less than 1e-4 through. Any number of channels D; four are blended in one pass. Tiles where
    ``masks`` is False show the background. With ``absgrad`` the backward pass sets ``means2d.absgrad``, the
    sum over pixels of the absolute gradients.

    Returns colours [..., H, W, D] and alphas [..., H, W, 1]. Gradients flow to means2d, conics, colors,
    opacities and backgrounds; a clamped alpha passes none. Tiles may have any size; 16 is fastest. The
    picture must not change in place before the backward pass, which reads it. ShapeError (a ValueError and an
    AssertionError) for inputs that do not fit.
    """
    splats, channels = opacities.shape, colors.shape[-1]
    image_dims = isect_offsets.shape[:-2]
    check_shape("means2d", means2d, *splats, 2)
    check_shape("conics", conics, *splats, 3)
    check_shape("colors", colors, *splats, channels)
    check_shape("opacities", opacities, *splats)
    check_channels(colors)
    if backgrounds is not None:
        check_shape("backgrounds", backgrounds, *image_dims, channels)
    grid, ids = make_grid(image_width, image_height, tile_size, isect_offsets, flatten_ids, masks)
    images = math.prod(image_dims)
    behind = None if backgrounds is None else backgrounds.reshape(images, channels)
    picture, alphas = differentiable(Blend, means2d, conics, colors, opacities, behind, ids, grid, absgrad)
    size = (image_height, image_width)
    return picture.view(*image_dims, *size, channels), alphas.view(*image_dims, *size, 1)


def make_grid(
    width: int,
    height: int,
    tile_size: int,
    isect_offsets: Tensor,
    flatten_ids: Tensor,
    masks: Tensor | None = None,
) -> tuple[Grid, Tensor]:
    """The picture's tiles and their lists [n_isects] int32. ShapeError where tiles do not cover the picture.

    Tiles beyond its right and lower border are left out, with their lists.
    """
    if masks is not None and masks.shape != isect_offsets.shape:
        raise ShapeError(f"masks: expected shape {list(isect_offsets.shape)}, got {list(masks.shape)}")
    tile_height, tile_width = isect_offsets.shape[-2:]
    _, across, down = tiles_of(width, height, tile_size)
    if tile_width < across or tile_height < down:
        raise ShapeError(
            f"isect_offsets: {tile_width} × {tile_height} tiles of {tile_size} px do not cover a picture of "
            f"{width} × {height}"
        )
    ids = flatten_ids.to(torch.int32)
    starts = np.append(isect_offsets.reshape(-1).numpy(), len(ids)).astype(np.int32)
    if (tile_width, tile_height) != (across, down):
        lengths = np.diff(starts).reshape(-1, tile_height, tile_width)
        inside = np.zeros(lengths.shape, np.bool_)
        inside[:, :down, :across] = True
        ids = ids[starts[0] :][torch.from_numpy(np.repeat(inside.reshape(-1), lengths.reshape(-1)))]
        starts = np.append(0, np.cumsum(lengths[inside])).astype(np.int32)
        masks = None if masks is None else masks[..., :down, :across]
    skip: Array = np.empty(0, np.bool_) if masks is None else masks.reshape(-1).to(torch.bool).numpy()
    return Grid(width, height, tile_size, starts, skip), ids
