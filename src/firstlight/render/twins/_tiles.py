"""Twin of tile intersection."""

import torch
from torch import Tensor


def isect_tiles(
    means2d: Tensor,  # [I, N, 2]
    radii: Tensor,  # [I, N, 2]
    depths: Tensor,  # [I, N]
    tile_size: int,
    tile_width: int,
    tile_height: int,
) -> tuple[Tensor, Tensor]:
    """Flat splat numbers, tile after tile and front to back, and where each tile begins [I, th, tw]."""
    images, count = depths.shape
    flatten_ids: list[int] = []
    offsets = torch.zeros(images, tile_height, tile_width, dtype=torch.int32)
    for image in range(images):
        order = torch.argsort(depths[image], stable=True)
        order = order[(radii[image, order] > 0).all(-1)]
        low = torch.floor((means2d[image] - radii[image]) / tile_size)
        high = torch.ceil((means2d[image] + radii[image]) / tile_size)
        for row in range(tile_height):
            for column in range(tile_width):
                offsets[image, row, column] = len(flatten_ids)
                place = torch.tensor([column, row])
                touched = ((low[order] <= place) & (place < high[order])).all(-1)
                flatten_ids += (image * count + order[touched]).tolist()
    return torch.tensor(flatten_ids, dtype=torch.int32), offsets
