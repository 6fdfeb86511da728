"""Rows of splats: one for each camera and Gaussian, or only for those that are seen (packed).

Dense rows are numbered camera after camera, Gaussian after Gaussian. Packed rows keep that order and leave
out what is not seen; ``starts`` [I + 1] then says where each camera's rows begin, ``ids`` whose they are,
counted within a batch. Dense rows have no ``starts``.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numba import prange
from torch import Tensor

from firstlight.render._arrays import Array
from firstlight.render._jit import device, kernel

_NO_IDS: Array = np.empty(0, np.int64)


class Rows(NamedTuple):
    """Which rows there are; the kernels take its two arrays."""

    starts: Array  # [I + 1] int64, or empty where rows are dense
    ids: Array  # [nnz] int64, or empty where rows are dense


DENSE = Rows(_NO_IDS, _NO_IDS)


class Packed(NamedTuple):
    """Packed rows, and the same as tensors."""

    rows: Rows
    batch_ids: Tensor  # [nnz] int64
    camera_ids: Tensor  # [nnz] int64, within the batch
    gaussian_ids: Tensor  # [nnz] int64, within the batch

    def of_gaussians(self, count: int) -> Tensor:
        """Numbers in [B * count] of the Gaussians."""
        return self.batch_ids * count + self.gaussian_ids

    def of_images(self, cameras: int, count: int) -> Tensor:
        """Numbers in [B * cameras * count] of the dense rows."""
        return (self.batch_ids * cameras + self.camera_ids) * count + self.gaussian_ids


def packed_rows(starts: Array, ids: Array, cameras: int) -> Packed:
    """What the tensors say of rows that begin at ``starts``."""
    images = torch.from_numpy(np.repeat(np.arange(len(starts) - 1), np.diff(starts)))
    return Packed(
        Rows(starts, ids), images // max(cameras, 1), images % max(cameras, 1), torch.from_numpy(ids)
    )


@device
def _first_at_least(ids: Any, low: int, high: int, value: int) -> int:
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@device
def rows_between(starts: Any, ids: Any, image: int, count: int, first: int, last: int) -> Any:
    """The rows of an image that belong to Gaussians ``first`` to ``last`` of its batch."""
    if starts.shape[0] == 0:
        return image * count + first, image * count + last
    low, high = starts[image], starts[image + 1]
    return _first_at_least(ids, low, high, first), _first_at_least(ids, low, high, last)


def close_places(filled: Array) -> tuple[Array, Array]:
    """Where rows go when they are moved together, and where each image's then begin [I + 1].

    ``filled`` [chunks, I] says how many rows each chunk wrote of each image.
    """
    ends = np.cumsum(filled.T)
    places = np.ascontiguousarray((ends - filled.T.reshape(-1)).reshape(filled.shape[::-1]).T)
    return places, np.concatenate([np.zeros(1, np.int64), ends.reshape(filled.shape[::-1])[:, -1]])


@kernel
def close_up(
    filled: Any,  # [chunks, I] how many rows each chunk wrote of each image
    places: Any,  # [chunks, I] where they belong
    count: int,
    ids: Any,  # [I * count] int64; each chunk's rows are at the beginning of its part of the image
    radii: Any,  # [I * count, 2] and so on
    means2d: Any,
    depths: Any,
    shapes: Any,  # conics, or a surfel's ray transforms
    more: Any,  # compensations, or a surfel's normals; or empty
    to_ids: Any,  # [nnz] out, and so on
    to_radii: Any,
    to_means2d: Any,
    to_depths: Any,
    to_shapes: Any,
    to_more: Any,
) -> None:
    """Move packed rows together."""
    chunks = filled.shape[0]
    for chunk in prange(chunks):
        for image in range(filled.shape[1]):
            begin, to, size = (
                image * count + count * chunk // chunks,
                places[chunk, image],
                filled[chunk, image],
            )
            for k in range(size):
                to_ids[to + k] = ids[begin + k]
                to_radii[to + k, 0], to_radii[to + k, 1] = radii[begin + k, 0], radii[begin + k, 1]
                to_means2d[to + k, 0], to_means2d[to + k, 1] = means2d[begin + k, 0], means2d[begin + k, 1]
                to_depths[to + k] = depths[begin + k]
                for j in range(shapes.shape[1]):
                    to_shapes[to + k, j] = shapes[begin + k, j]
            if more.shape[0] > 0:
                to_more[to : to + size] = more[begin : begin + size]
