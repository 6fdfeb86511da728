"""The blending of surfels laid open: which reach which pixels, and their composition in plain torch."""

import math

import torch
from torch import Tensor

from firstlight.render import _surfel_indices_kernels as kernels
from firstlight.render._arrays import check_shape, view
from firstlight.render._blend import make_grid
from firstlight.render._errors import ShapeError
from firstlight.render._gsplat import cuda_by_gsplat
from firstlight.render._indices import light_before, reached


@cuda_by_gsplat
@torch.no_grad()
def rasterize_to_indices_in_range_2dgs(
    range_start: int,
    range_end: int,
    transmittances: Tensor,  # [..., image_height, image_width]
    means2d: Tensor,  # [..., N, 2]
    ray_transforms: Tensor,  # [..., N, 3, 3]
    opacities: Tensor,  # [..., N]
    image_width: int,
    image_height: int,
    tile_size: int,
    isect_offsets: Tensor,  # [..., tile_height, tile_width] int32
    flatten_ids: Tensor,  # [n_isects] int32
) -> tuple[Tensor, Tensor, Tensor]:
    """List the pairs of surfel and pixel that blending adds up, some batches at a time (gsplat's interface).

    A batch is ``tile_size``² surfels of each tile's list; 0 and 1e10 ask for all. ``transmittances`` is the
    light that earlier ranges left to each pixel (1 before the first). A pair counts where alpha, of at most
    0.99, reaches 1/255; a pixel ends before the surfel that would leave it no more than 1e-4.

    Returns gaussian_ids, pixel_ids (row by row) and image_ids, each [M] int64, sorted by image, pixel, and
    front to back: what ``accumulate_2dgs`` takes. No gradients. ShapeError for inputs that do not fit.
    """
    image_dims, count = means2d.shape[:-2], means2d.shape[-2]
    check_shape("means2d", means2d, *image_dims, count, 2)
    check_shape("ray_transforms", ray_transforms, *image_dims, count, 3, 3)
    check_shape("opacities", opacities, *image_dims, count)
    check_shape("transmittances", transmittances, *image_dims, image_height, image_width)
    if isect_offsets.shape[:-2] != image_dims:
        raise ShapeError(
            f"isect_offsets: expected leading dimensions {list(image_dims)}, got {list(isect_offsets.shape)}"
        )
    grid, ids = make_grid(image_width, image_height, tile_size, isect_offsets, flatten_ids)
    surfels = view(means2d, -1, 2), view(ray_transforms, -1, 9), view(opacities, -1)
    return reached(
        kernels.reach_pixels_of_surfels, surfels, count, grid, ids, range_start, range_end,
        transmittances,
    )  # fmt: skip


@cuda_by_gsplat
def accumulate_2dgs(
    means2d: Tensor,  # [..., N, 2]
    ray_transforms: Tensor,  # [..., N, 3, 3]
    opacities: Tensor,  # [..., N]
    colors: Tensor,  # [..., N, channels]
    normals: Tensor,  # [..., N, 3]
    gaussian_ids: Tensor,  # [M]
    pixel_ids: Tensor,  # [M]
    image_ids: Tensor,  # [M]
    image_width: int,
    image_height: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Composite listed pairs of surfel and pixel in plain torch (gsplat's interface, without nerfacc).

    A playground: slow, needs memory for each pair, and torch's autograd differentiates it, as often as one
    likes. Pairs come from ``rasterize_to_indices_in_range_2dgs``, or in any order that has each pixel's
    surfels front to back. alpha is that of ``rasterize_to_pixels_2dgs``, however small. float32 or float64.

    Returns colours [..., image_height, image_width, channels], alphas [..., image_height, image_width, 1] and
    normals [..., image_height, image_width, 3]. ShapeError for inputs that do not fit.
    """
    image_dims, count, channels = means2d.shape[:-2], means2d.shape[-2], colors.shape[-1]
    for name, tensor, shape in (
        ("means2d", means2d, (2,)),
        ("ray_transforms", ray_transforms, (3, 3)),
        ("opacities", opacities, ()),
        ("colors", colors, (channels,)),
        ("normals", normals, (3,)),
    ):
        wanted = (*image_dims, count, *shape)
        if tensor.shape != wanted:
            raise ShapeError(f"{name}: expected shape {list(wanted)}, got {list(tensor.shape)}")
    if not gaussian_ids.shape == pixel_ids.shape == image_ids.shape == (len(gaussian_ids),):
        raise ShapeError(
            f"expected as many gaussian_ids, pixel_ids and image_ids, got {list(gaussian_ids.shape)}, "
            f"{list(pixel_ids.shape)} and {list(image_ids.shape)}"
        )
    pixels = image_ids * (image_height * image_width) + pixel_ids
    order = torch.argsort(pixels, stable=True)
    gaussian_ids, pixel_ids, image_ids, pixels = (
        ids[order] for ids in (gaussian_ids, pixel_ids, image_ids, pixels)
    )
    rows = image_ids * count + gaussian_ids
    centres = torch.stack([pixel_ids % image_width, pixel_ids // image_width], -1) + 0.5
    centres = centres.to(means2d.dtype)
    x, y = centres[:, :1], centres[:, 1:]
    a, b, w = ray_transforms.reshape(-1, 3, 3)[rows].unbind(-2)
    hit = torch.linalg.cross(x * w - a, y * w - b)
    itself = (hit[:, :2] / hit[:, 2:]).square().sum(-1)
    filtered = 2 * (centres - means2d.reshape(-1, 2)[rows]).square().sum(-1)
    alphas = opacities.reshape(-1)[rows] * torch.exp(-0.5 * torch.minimum(itself, filtered))
    weights = alphas.clamp(max=0.99)
    weights = weights * light_before(weights, pixels)
    features = torch.cat([colors, normals], -1).reshape(count * math.prod(image_dims), channels + 3)[rows]
    features = torch.cat([features, torch.ones_like(features[:, :1])], -1) * weights[:, None]
    size = (*image_dims, image_height, image_width)
    summed = torch.zeros(math.prod(size), channels + 4, dtype=features.dtype).index_add(0, pixels, features)
    summed = summed.view(*size, channels + 4)
    return summed[..., :channels], summed[..., -1:], summed[..., channels:-1]
