"""Which splats touch which tiles, front to back.

Sorting one number a splat and then dealing the splats out in that order gives every tile a sorted list,
which is much less work than sorting one 64-bit key an intersection. Both steps are stable, so splats of equal
depth stay in the order of their index.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._jit import device, kernel, serial_kernel

DIGIT_BITS = 11
BUCKETS = 1 << DIGIT_BITS
DIGITS = 3


@device
def _sort_digit(
    keys: Any, items: Any, to_keys: Any, to_items: Any, begin: int, end: int, digit: int, places: Any
) -> None:
    """One stable pass of the radix sort; ``places`` holds how often each digit occurs."""
    shift = np.uint32(DIGIT_BITS * digit)
    place: Any = begin
    for bucket in range(BUCKETS):
        size = places[digit, bucket]
        places[digit, bucket] = place
        place += size
    for j in range(begin, end):
        own = np.intp((keys[j] >> shift) & np.uint32(BUCKETS - 1))
        place = places[digit, own]
        places[digit, own] = place + 1
        to_keys[place] = keys[j]
        to_items[place] = items[j]


@serial_kernel
def order_by_depth(radii: Any, depths: Any, image_starts: Any, order: Any, order_starts: Any) -> None:
    """Indices of the visible splats of each image, nearest first: radix sort over the bits of the depth.

    radii [M, 2], depths [M] uint32 bits of float32; image i owns splats image_starts[i] to
    image_starts[i + 1]. Fills order [M] and order_starts [I + 1].
    """
    end = 0
    keys, spare_keys = np.empty(order.shape[0], np.uint32), np.empty(order.shape[0], np.uint32)
    spare = np.empty(order.shape[0], np.int32)
    counts = np.empty((DIGITS, BUCKETS), np.int64)
    for image in range(image_starts.shape[0] - 1):
        begin = end
        order_starts[image] = begin
        counts[:] = 0
        for i in range(image_starts[image], image_starts[image + 1]):
            if radii[i, 0] > 0 and radii[i, 1] > 0:
                # The order of floats, negative ones too, as the order of unsigned numbers.
                sign = depths[i] >> np.uint32(31)
                key = depths[i] ^ (np.uint32(0xFFFFFFFF) if sign else np.uint32(0x80000000))
                keys[end] = key
                order[end] = i
                end += 1
                for digit in range(DIGITS):
                    counts[
                        digit, np.intp((key >> np.uint32(DIGIT_BITS * digit)) & np.uint32(BUCKETS - 1))
                    ] += 1
        _sort_digit(keys, order, spare_keys, spare, begin, end, 0, counts)
        _sort_digit(spare_keys, spare, keys, order, begin, end, 1, counts)
        _sort_digit(keys, order, spare_keys, spare, begin, end, 2, counts)
        for j in range(begin, end):
            order[j] = spare[j]
    order_starts[image_starts.shape[0] - 1] = end


@device
def _tile_rows(means2d: Any, radii: Any, i: int, tile_size: int, tile_height: int) -> tuple[int, int]:
    """First tile row and the one after the last that the splat's rectangle touches."""
    y, ry = np.float64(means2d[i, 1]), np.float64(radii[i, 1])
    first = min(max(math.floor((y - ry) / tile_size), 0.0), np.float64(tile_height))
    last = min(max(math.ceil((y + ry) / tile_size), 0.0), np.float64(tile_height))
    return int(first), int(last)


@device
def _ellipse(conics: Any, opacities: Any, i: int, shape: Any) -> None:
    """a, b, c, determinant, squared reach, half-height and height of the rightmost point.

    A determinant of 0 means that float32 says too little about the shape: the rectangle is used alone.
    """
    a, b, c = np.float64(conics[i, 0]), np.float64(conics[i, 1]), np.float64(conics[i, 2])
    det = a * c - b * b - 5e-7 * a * c  # never above the true one, whatever rounding did to a, b and c
    reach = 2.0 * math.log(max(np.float64(opacities[i]) * 255.0, 1.0)) + 2e-3
    shape[0], shape[1], shape[2], shape[3], shape[4] = a, b, c, 0.0, reach
    if det > 0.0 and a > 0.0 and c > 0.0:
        shape[3] = det
        shape[5] = math.sqrt(reach * a / det)
        shape[6] = -b / c * math.sqrt(reach * c / det)


@device
def _tile_columns(
    means2d: Any, radii: Any, i: int, row: int, tile_size: int, tile_width: int, shape: Any, exact: bool
) -> tuple[int, int]:
    """First tile and the one after the last that the splat touches in this row of tiles."""
    x, rx = np.float64(means2d[i, 0]), np.float64(radii[i, 0])
    left, right = x - rx, x + rx
    if exact and shape[3] > 0.0:
        # The band of pixel centres of this row, relative to the splat.
        low = row * tile_size + 0.5 - means2d[i, 1]
        high = low + tile_size - 1
        if low > shape[5] or high < -shape[5]:
            return 0, 0
        a, b, det, reach = shape[0], shape[1], shape[3], shape[4]
        # dx = (-b dy ± √(reach a - det dy²)) / a is extreme in the band at the ellipse's own extreme point,
        # or at the band's edge next to it.
        dy = min(max(shape[6], low), high)
        right = min(right, x + (-b * dy + math.sqrt(max(reach * a - det * dy * dy, 0.0))) / a)
        dy = min(max(-shape[6], low), high)
        left = max(left, x - (b * dy + math.sqrt(max(reach * a - det * dy * dy, 0.0))) / a)
        if left > right:
            return 0, 0
        # A tile's pixel centres stand half a pixel inside it.
        first = min(max(math.ceil((left + 0.5) / tile_size) - 1.0, 0.0), np.float64(tile_width))
        last = min(max(math.floor((right - 0.5) / tile_size) + 1.0, 0.0), np.float64(tile_width))
        return int(first), int(last)
    first = min(max(math.floor(left / tile_size), 0.0), np.float64(tile_width))
    last = min(max(math.ceil(right / tile_size), 0.0), np.float64(tile_width))
    return int(first), int(last)


@kernel
def count_tiles(
    means2d: Any,  # [M, 2]
    radii: Any,  # [M, 2]
    conics: Any,  # [M, 3], or empty: then a splat touches all tiles of its rectangle
    opacities: Any,  # [M], or empty
    order: Any,  # [V] splats front to back, image after image
    splat_images: Any,  # [I + 1] where the images begin among the M splats
    tile_size: int,
    tile_width: int,
    tile_height: int,
    tiles_per_gauss: Any,  # [M] out, zeroed before
    counts: Any,  # [chunks, I * tile_height * tile_width] out
) -> None:
    """How many splats each chunk of the order puts into each tile."""
    chunks, visible = counts.shape[0], order.shape[0]
    exact = conics.shape[0] > 0
    for chunk in prange(chunks):
        own, shape, image = counts[chunk], np.zeros(7), 0
        own[:] = 0
        for j in range(visible * chunk // chunks, visible * (chunk + 1) // chunks):
            i = order[j]
            while i >= splat_images[image + 1]:
                image += 1
            if exact:
                _ellipse(conics, opacities, i, shape)
            first, last = _tile_rows(means2d, radii, i, tile_size, tile_height)
            touched = 0
            for row in range(first, last):
                base = (image * tile_height + row) * tile_width
                left, right = _tile_columns(means2d, radii, i, row, tile_size, tile_width, shape, exact)
                for column in range(left, right):
                    own[base + column] += 1
                touched += max(right - left, 0)
            tiles_per_gauss[i] = touched


@serial_kernel
def place_tiles(counts: Any, starts: Any) -> int:
    """Turn counts [chunks, tiles] into places to write to, and fill starts [tiles + 1]; returns the total."""
    place = 0
    for tile in range(counts.shape[1]):
        starts[tile] = place
        for chunk in range(counts.shape[0]):
            size = counts[chunk, tile]
            counts[chunk, tile] = place
            place += size
    starts[counts.shape[1]] = place
    return place


@kernel
def fill_tiles(
    means2d: Any,
    radii: Any,
    conics: Any,
    opacities: Any,
    depths: Any,  # [M] uint32 bits of float32
    order: Any,
    splat_images: Any,
    tile_size: int,
    tile_width: int,
    tile_height: int,
    image_shift: int,  # bits of a tile number
    places: Any,  # [chunks, tiles] from place_tiles
    isect_ids: Any,  # [n_isects] int64 out
    flatten_ids: Any,  # [n_isects] int32 out
) -> None:
    """Deal the splats out; chunks write to disjoint places of every tile's list, in order."""
    chunks, visible = places.shape[0], order.shape[0]
    exact = conics.shape[0] > 0
    for chunk in prange(chunks):
        own, shape, image = places[chunk], np.zeros(7), 0
        for j in range(visible * chunk // chunks, visible * (chunk + 1) // chunks):
            i = order[j]
            while i >= splat_images[image + 1]:
                image += 1
            if exact:
                _ellipse(conics, opacities, i, shape)
            first, last = _tile_rows(means2d, radii, i, tile_size, tile_height)
            for row in range(first, last):
                base = row * tile_width
                left, right = _tile_columns(means2d, radii, i, row, tile_size, tile_width, shape, exact)
                for column in range(left, right):
                    tile = base + column
                    cell = image * tile_height * tile_width + tile
                    place = own[cell]
                    own[cell] = place + 1
                    flatten_ids[place] = i
                    key = np.int64(image) << np.int64(image_shift) | np.int64(tile)
                    isect_ids[place] = key << np.int64(32) | np.int64(depths[i])
