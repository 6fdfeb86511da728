"""Blending laid open: which splats reach which pixels, and their composition in plain torch."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstlight.render import _indices_kernels as kernels
from firstlight.render._arrays import Array, balanced, check_shape, view, workers
from firstlight.render._blend import make_grid
from firstlight.render._blend_rule import Grid
from firstlight.render._errors import ShapeError
from firstlight.render._gsplat import cuda_by_gsplat


@cuda_by_gsplat
@torch.no_grad()
def rasterize_to_indices_in_range(
    range_start: int,
    range_end: int,
    transmittances: Tensor,  # [..., image_height, image_width]
    means2d: Tensor,  # [..., N, 2]
    conics: Tensor,  # [..., N, 3]
    opacities: Tensor,  # [..., N]
    image_width: int,
    image_height: int,
    tile_size: int,
    isect_offsets: Tensor,  # [..., tile_height, tile_width] int32
    flatten_ids: Tensor,  # [n_isects] int32
) -> tuple[Tensor, Tensor, Tensor]:
    """List the pairs of splat and pixel that blending adds up, some batches at a time (gsplat's interface).

    A batch is ``tile_size``² splats of each tile's list; 0 and 1e10 ask for all. ``transmittances`` is the
    light that earlier ranges left to each pixel (1 before the first). A pair counts where alpha, of at most
    0.99, reaches 1/255; a pixel ends before the splat that would leave it no more than 1e-4.

    Returns gaussian_ids, pixel_ids (row by row) and image_ids, each [M] int64, sorted by image, pixel, and
    front to back: what ``accumulate`` takes. No gradients. ShapeError for inputs that do not fit.
    """
    image_dims, count = means2d.shape[:-2], means2d.shape[-2]
    check_shape("means2d", means2d, *image_dims, count, 2)
    check_shape("conics", conics, *image_dims, count, 3)
    check_shape("opacities", opacities, *image_dims, count)
    check_shape("transmittances", transmittances, *image_dims, image_height, image_width)
    if isect_offsets.shape[:-2] != image_dims:
        raise ShapeError(
            f"isect_offsets: expected leading dimensions {list(image_dims)}, got {list(isect_offsets.shape)}"
        )
    grid, ids = make_grid(image_width, image_height, tile_size, isect_offsets, flatten_ids)
    splats = view(means2d, -1, 2), view(conics, -1, 3), view(opacities, -1)
    return reached(kernels.reach_pixels, splats, count, grid, ids, range_start, range_end, transmittances)


def reached(
    reach: Any,
    splats: tuple[Array, ...],
    count: int,
    grid: Grid,
    ids: Tensor,
    range_start: int,
    range_end: int,
    transmittances: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Walk through the lists twice: count the pairs, then write them. A picture has ``count`` splats."""
    batch = grid.tile_size**2
    firsts, lasts = grid.starts[:-1].astype(np.int64), grid.starts[1:].astype(np.int64)
    begins = np.minimum(firsts + int(range_start) * batch, lasts)
    ends = np.maximum(begins, np.minimum(firsts + min(int(range_end), 2**31) * batch, lasts))
    bounds = balanced(np.append(0, np.cumsum(ends - begins)), workers())
    light = view(transmittances, grid.images, grid.height, grid.width)
    counts = np.zeros(light.shape, np.int64)
    lists = view(ids, -1), begins, ends, grid.tile_size, light
    nothing: Array = np.empty(0, np.int64)
    reach(*splats, *lists, np.empty((0, 0, 0), np.int64), counts, nothing, nothing, bounds)
    entries = int(counts.sum())
    rows, pixels = np.empty(entries, np.int64), np.empty(entries, np.int64)
    places = (np.cumsum(counts) - counts.reshape(-1)).reshape(counts.shape)
    reach(*splats, *lists, places, counts, rows, pixels, bounds)
    size = max(grid.height * grid.width, 1)
    return (
        torch.from_numpy(rows % max(count, 1)),
        torch.from_numpy(pixels % size),
        torch.from_numpy(pixels // size),
    )


@cuda_by_gsplat
def accumulate(
    means2d: Tensor,  # [..., N, 2]
    conics: Tensor,  # [..., N, 3]
    opacities: Tensor,  # [..., N]
    colors: Tensor,  # [..., N, channels]
    gaussian_ids: Tensor,  # [M]
    pixel_ids: Tensor,  # [M]
    image_ids: Tensor,  # [M]
    image_width: int,
    image_height: int,
) -> tuple[Tensor, Tensor]:
    """Composite listed pairs of splat and pixel in plain torch (gsplat's interface, without nerfacc).

    A playground: slow, needs memory for each pair, and torch's autograd differentiates it, as often as one
    likes. Pairs come from ``rasterize_to_indices_in_range``, or in any order that has each pixel's splats
    front to back. alpha = min(0.99, opacity · exp(-½ dᵀ conic d)), however small. float32 or float64.

    Returns colours [..., image_height, image_width, channels] and alphas [..., image_height, image_width, 1].
    ShapeError for inputs that do not fit.
    """
    image_dims, count, channels = means2d.shape[:-2], means2d.shape[-2], colors.shape[-1]
    for name, tensor, width in (
        ("means2d", means2d, (2,)),
        ("conics", conics, (3,)),
        ("opacities", opacities, ()),
        ("colors", colors, (channels,)),
    ):
        wanted = (*image_dims, count, *width)
        if tensor.shape != wanted:
            raise ShapeError(f"{name}: expected shape {list(wanted)}, got {list(tensor.shape)}")
    if not gaussian_ids.shape == pixel_ids.shape == image_ids.shape == (len(gaussian_ids),):
        raise ShapeError(
            f"expected as many gaussian_ids, pixel_ids and image_ids, got {list(gaussian_ids.shape)}, "
            f"{list(pixel_ids.shape)} and {list(image_ids.shape)}"
        )
    pixels = image_ids * (image_height * image_width) + pixel_ids
    if (pixels[1:] < pixels[:-1]).any():
        order = torch.argsort(pixels, stable=True)
        gaussian_ids, pixel_ids, image_ids, pixels = (
            ids[order] for ids in (gaussian_ids, pixel_ids, image_ids, pixels)
        )
    rows = image_ids * count + gaussian_ids
    centres = torch.stack([pixel_ids % image_width, pixel_ids // image_width], -1) + 0.5
    d = centres.to(means2d.dtype) - means2d.reshape(-1, 2)[rows]
    a, b, c = conics.reshape(-1, 3)[rows].unbind(-1)
    power = 0.5 * (a * d[:, 0] ** 2 + c * d[:, 1] ** 2) + b * d[:, 0] * d[:, 1]
    alphas = (opacities.reshape(-1)[rows] * torch.exp(-power)).clamp(max=0.99)
    weights = alphas * light_before(alphas, pixels)
    total = math.prod(image_dims) * image_height * image_width
    shades = colors.reshape(-1, channels)[rows] * weights[:, None]
    picture = torch.zeros(total, channels, dtype=shades.dtype).index_add(0, pixels, shades)
    covered = torch.zeros(total, dtype=weights.dtype).index_add(0, pixels, weights)
    size = (*image_dims, image_height, image_width)
    return picture.view(*size, channels), covered.view(*size, 1)


def light_before(alphas: Tensor, pixels: Tensor) -> Tensor:
    """What the entries of the same pixel before each entry let through [M]; pixels rise.

    Sums of logarithms over all entries, in double precision, less what they were where the pixel began.
    """
    logs = torch.log1p(-alphas.double())
    before = logs.cumsum(0) - logs
    begins = torch.ones_like(pixels, dtype=torch.bool)
    begins[1:] = pixels[1:] != pixels[:-1]
    first = before[begins][begins.cumsum(0) - 1]
    return torch.exp(before - first).to(alphas.dtype)
