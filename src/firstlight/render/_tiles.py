"""Splats into tiles."""

import math

import numpy as np
import torch
from torch import Tensor

from firstlight.render import _tiles_kernels as kernels
from firstlight.render._arrays import NO_FLOATS, Array, check_shape, view, workers
from firstlight.render._errors import ShapeError
from firstlight.render._gsplat import cuda_by_gsplat

INT32_MAX = 2**31 - 1


def tiles_of(width: int, height: int, tile_size: int) -> tuple[int, int, int]:
    """Size of a tile, and how many cover the picture across and down. ShapeError unless all are above 0."""
    if min(width, height, tile_size) < 1:
        raise ShapeError(
            f"expected width, height and tile_size of at least 1, got {width}, {height} and {tile_size}"
        )
    return tile_size, -(-width // tile_size), -(-height // tile_size)


def _tile_bits(tile_width: int, tile_height: int) -> int:
    """How many bits of an intersection id hold the tile number."""
    return math.floor(math.log2(tile_width * tile_height)) + 1


@cuda_by_gsplat
@torch.no_grad()
def isect_tiles(
    means2d: Tensor,  # [..., N, 2] or [nnz, 2]
    radii: Tensor,  # [..., N, 2] or [nnz, 2]
    depths: Tensor,  # [..., N] or [nnz]
    tile_size: int,
    tile_width: int,
    tile_height: int,
    sort: bool = True,
    segmented: bool = False,
    packed: bool = False,
    n_images: int | None = None,
    image_ids: Tensor | None = None,  # [nnz]
    gaussian_ids: Tensor | None = None,  # [nnz]
    conics: Tensor | None = None,  # [..., N, 3] or [nnz, 3]
    opacities: Tensor | None = None,  # [..., N] or [nnz]
) -> tuple[Tensor, Tensor, Tensor]:
    """List the tiles that each splat touches, sorted by image, tile and depth (ties by index).

    With ``conics`` and ``opacities`` a tile counts only where alpha reaches 1/255 at one of its pixel
    centres' rows; without, a splat touches all tiles of its rectangle ``means2d`` ± ``radii``.
    ``sort=False`` lists splat after splat. ``segmented`` changes nothing here.

    Returns tiles_per_gauss [..., N] int32, isect_ids [n_isects] int64 (image, tile, bits of the depth) and
    flatten_ids [n_isects] int32 (index into [I * N] or [nnz]). Packed rows may come in any order; of their
    ``gaussian_ids`` nothing is read. ShapeError for inputs that do not fit, and where packed input lacks its
    ids.
    """
    splats, count = depths.shape, means2d.shape[-2]
    check_shape("means2d", means2d, *splats, 2)
    check_shape("depths", depths, *splats)
    if radii.shape != means2d.shape:
        raise ShapeError(f"radii: expected shape {list(means2d.shape)}, got {list(radii.shape)}")
    if conics is not None and opacities is not None:
        check_shape("conics", conics, *splats, 3)
        check_shape("opacities", opacities, *splats)
    if tile_size < 1:
        raise ShapeError(f"tile_size: expected at least 1, got {tile_size}")
    rows = None
    if packed:
        if image_ids is None or gaussian_ids is None or n_images is None:
            raise ShapeError("isect_tiles: packed=True needs image_ids, gaussian_ids and n_images")
        splat_images, rows = _image_by_image(image_ids, n_images, splats)
    else:
        splat_images = np.arange(math.prod(means2d.shape[:-2]) + 1, dtype=np.int64) * count
    if rows is not None:
        means2d, radii, depths = means2d[rows], radii[rows], depths[rows]
        conics, opacities = (None if t is None else t[rows] for t in (conics, opacities))
    tiles_per_gauss, isect_ids, flatten_ids, _ = deal(
        means2d, radii, depths, conics, opacities, splat_images, tile_size, tile_width, tile_height
    )
    if rows is not None:
        tiles_per_gauss = torch.empty_like(tiles_per_gauss).index_copy_(0, rows, tiles_per_gauss)
        flatten_ids = rows.to(torch.int32)[flatten_ids]
    if not sort:
        back = torch.argsort(flatten_ids, stable=True)
        isect_ids, flatten_ids = isect_ids[back], flatten_ids[back]
    return tiles_per_gauss, isect_ids, flatten_ids


def _image_by_image(image_ids: Tensor, images: int, splats: torch.Size) -> tuple[Array, Tensor | None]:
    """Where each image's rows begin [I + 1], and the order that brings them together; None if they are."""
    if image_ids.shape != splats:
        raise ShapeError(f"image_ids: expected shape {list(splats)}, got {list(image_ids.shape)}")
    order = None
    if (image_ids[1:] < image_ids[:-1]).any():
        image_ids, order = torch.sort(image_ids, stable=True)
    if len(image_ids) > 0 and not 0 <= int(image_ids[0]) <= int(image_ids[-1]) < images:
        raise ShapeError(f"image_ids: expected numbers from 0 to {images - 1}, below n_images")
    begins = torch.searchsorted(image_ids.contiguous(), torch.arange(images + 1).to(image_ids))
    return begins.numpy().astype(np.int64), order


def deal(
    means2d: Tensor,
    radii: Tensor,
    depths: Tensor,
    conics: Tensor | None,
    opacities: Tensor | None,
    splat_images: Array,
    tile_size: int,
    tile_width: int,
    tile_height: int,
) -> tuple[Tensor, Tensor, Tensor, Array]:
    """``isect_tiles`` and, last, where each tile's list begins [I * tile_height * tile_width + 1] int32."""
    images, total = len(splat_images) - 1, depths.numel()
    flat_means, flat_radii = view(means2d, -1, 2), view(radii, -1, 2)
    exact = conics is not None and opacities is not None
    flat_conics = view(conics, -1, 3) if exact and conics is not None else np.empty((0, 3), np.float32)
    flat_opacities = view(opacities, -1) if exact and opacities is not None else NO_FLOATS
    bits = view(depths, -1).view(np.uint32)
    order, order_starts = np.empty(total, np.int32), np.empty(images + 1, np.int64)
    kernels.order_by_depth(flat_radii, bits, splat_images, order, order_starts)
    order = order[: order_starts[-1]]
    cells, grid = images * tile_height * tile_width, (tile_size, tile_width, tile_height)
    loose = np.empty((total, kernels.SHAPE), np.float32)
    kernels.outline(flat_means, flat_radii, flat_conics, flat_opacities, *grid, loose, workers())
    shapes, rows = np.empty((len(order), kernels.SHAPE), np.float32), np.empty(workers(), np.int64)
    kernels.arrange(loose, order, shapes, rows)
    firsts, spans = np.cumsum(rows) - rows, np.empty((rows.sum(), 2), np.int32)
    tiles_per_gauss = torch.zeros(depths.shape, dtype=torch.int32)
    places, starts = np.empty((workers(), cells), np.int64), np.empty(cells + 1, np.int64)
    kernels.cut_up(
        shapes, order, splat_images, *grid, firsts, spans, tiles_per_gauss.view(-1).numpy(), places
    )
    n_isects = kernels.place_tiles(places, starts)
    if n_isects > INT32_MAX:
        raise ValueError(f"{n_isects} intersections of splats and tiles: more than {INT32_MAX} are not held")
    isect_ids = torch.empty(n_isects, dtype=torch.int64)
    flatten_ids = torch.empty(n_isects, dtype=torch.int32)
    kernels.fill_tiles(
        shapes,
        bits,
        order,
        splat_images,
        tile_width,
        tile_height,
        _tile_bits(tile_width, tile_height),
        firsts,
        spans,
        places,
        isect_ids.numpy(),
        flatten_ids.numpy(),
    )
    return tiles_per_gauss, isect_ids, flatten_ids, starts.astype(np.int32)


@cuda_by_gsplat
@torch.no_grad()
def isect_offset_encode(isect_ids: Tensor, n_images: int, tile_width: int, tile_height: int) -> Tensor:
    """Where each tile's list begins among sorted ``isect_ids``: [n_images, tile_height, tile_width] int32."""
    image_shift = _tile_bits(tile_width, tile_height)
    images, tiles = torch.arange(n_images), torch.arange(tile_width * tile_height)
    cells = (images[:, None] << image_shift | tiles).view(-1)
    offsets = torch.searchsorted(isect_ids >> 32, cells)
    return offsets.to(torch.int32).view(n_images, tile_height, tile_width)
