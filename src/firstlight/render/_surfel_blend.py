"""Surfels (2D Gaussians) into pixels."""

import math

from torch import Tensor

from firstlight.render._arrays import check_channels, check_shape, differentiable
from firstlight.render._blend import make_grid
from firstlight.render._gsplat import cuda_by_gsplat
from firstlight.render._surfel_blend_rule import BlendSurfels


@cuda_by_gsplat
def rasterize_to_pixels_2dgs(
    means2d: Tensor,  # [..., N, 2] or [nnz, 2]
    ray_transforms: Tensor,  # [..., N, 3, 3] or [nnz, 3, 3]
    colors: Tensor,  # [..., N, D] or [nnz, D]
    opacities: Tensor,  # [..., N] or [nnz]
    normals: Tensor,  # [..., N, 3] or [nnz, 3]
    densify: Tensor,  # [..., N, 2] or [nnz, 2]
    image_width: int,
    image_height: int,
    tile_size: int,
    isect_offsets: Tensor,  # [..., tile_height, tile_width] int32
    flatten_ids: Tensor,  # [n_isects] int32
    backgrounds: Tensor | None = None,  # [..., D]
    masks: Tensor | None = None,  # [..., tile_height, tile_width] bool
    packed: bool = False,
    absgrad: bool = False,
    distloss: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Blend surfels front to back (2D Gaussian Splatting, Huang et al. 2024; gsplat's interface).

    A pixel's ray meets a surfel's plane at (u, v) standard deviations; with d the distance in pixels from
    ``means2d``, alpha = min(0.99, opacity · exp(-½ min(u² + v², 2 d²))), left out under 1/255. The last
    channel of ``colors`` is what distortion and median are taken of: the depth. Tiles where ``masks`` is
    False show the background. ``packed`` and ``distloss`` change nothing here.

    Returns colours [..., H, W, D], alphas [..., H, W, 1], normals [..., H, W, 3] (summed like colours),
    distortions [..., H, W, 1] (2 Σ w_i w_j (d_i - d_j) over all pairs with j in front of i) and medians
    [..., H, W, 1]: the depth of the last surfel that meets more than half of the light, or 0.

    Gradients flow to means2d (from the filter alone), ray_transforms, colors, opacities, normals and
    backgrounds; a clamped alpha passes none, and the median is only its surfel's depth. ``densify`` is not
    read; its gradient is the one that density control looks at, of where in the picture the centre is. With
    ``absgrad`` the backward pass sets ``means2d.absgrad``, the sum over pixels of the absolute gradients of
    means2d. Tiles may have any size; 16 is fastest. ShapeError (a ValueError and an AssertionError) for
    inputs that do not fit.
    """
    splats, channels = opacities.shape, colors.shape[-1]
    image_dims = isect_offsets.shape[:-2]
    check_shape("means2d", means2d, *splats, 2)
    check_shape("ray_transforms", ray_transforms, *splats, 3, 3)
    check_shape("colors", colors, *splats, channels)
    check_shape("opacities", opacities, *splats)
    check_shape("normals", normals, *splats, 3)
    check_shape("densify", densify, *splats, 2)
    check_channels(colors)
    if backgrounds is not None:
        check_shape("backgrounds", backgrounds, *image_dims, channels)
    grid, ids = make_grid(image_width, image_height, tile_size, isect_offsets, flatten_ids, masks)
    behind = None if backgrounds is None else backgrounds.reshape(math.prod(image_dims), channels)
    surfels = (means2d, ray_transforms, colors, opacities, normals, densify)
    maps = differentiable(BlendSurfels, *surfels, behind, ids, grid, absgrad)
    picture, alphas, facing, distortions, medians = (
        t.view(*image_dims, image_height, image_width, wide)
        for t, wide in zip(maps, (channels, 1, 3, 1, 1), strict=True)
    )
    return picture, alphas, facing, distortions, medians
