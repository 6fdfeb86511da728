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
        for digit in range(DIGITS):
            if digit % 2 == 0:
                from_keys, from_items, to_keys, to_items = keys, order, spare_keys, spare
            else:
                from_keys, from_items, to_keys, to_items = spare_keys, spare, keys, order
            _sort_digit(from_keys, from_items, to_keys, to_items, begin, end, digit, counts)
        for j in range(begin, end):
            order[j] = spare[j]
    order_starts[image_starts.shape[0] - 1] = end


# What dealing needs of a splat: centre, the ellipse's slope, e and d, height of its rightmost point, then the
# first tile and the one after the last that can hold anything, of rows and of columns.
SHAPE = 10
LOOSE = 1e-3  # px that lists are too generous by, so that rounding leaves out no pixel


@device
def _tiles_between(low: Any, high: Any, tile_size: int, tiles: int, centres: bool) -> Any:
    """First tile and the one after the last between two abscissae, by pixels' centres or by their edges."""
    if centres:  # a tile's pixel centres stand half a pixel inside it
        first, last = math.ceil((low + 0.5) / tile_size) - 1.0, math.floor((high - 0.5) / tile_size) + 1.0
    else:
        first, last = np.float64(math.floor(low / tile_size)), np.float64(math.ceil(high / tile_size))
    return min(max(first, 0.0), np.float64(tiles)), min(max(last, 0.0), np.float64(tiles))


@kernel
def outline(
    means2d: Any,  # [M, 2]
    radii: Any,  # [M, 2]
    conics: Any,  # [M, 3], or empty: then a splat touches all tiles of its rectangle
    opacities: Any,  # [M], or empty
    tile_size: int,
    tile_width: int,
    tile_height: int,
    shapes: Any,  # [M, SHAPE] out, only where radii are above 0
    chunks: int,
) -> None:
    """What each splat is cut up by, and the tiles of the rectangle around it.

    The ellipse alpha = 1/255 at height dy reaches from -k dy - √(e - d dy²) to -k dy + √(e - d dy²). An e of
    infinity means that float32 says too little about the shape: the rectangle is used alone.
    """
    count, exact = means2d.shape[0], conics.shape[0] > 0
    for chunk in prange(chunks):
        for i in range(count * chunk // chunks, count * (chunk + 1) // chunks):
            if radii[i, 0] <= 0 or radii[i, 1] <= 0:
                continue
            shape = shapes[i]
            x, y = np.float64(means2d[i, 0]), np.float64(means2d[i, 1])
            left, right = x - radii[i, 0], x + radii[i, 0]
            top, bottom = y - radii[i, 1], y + radii[i, 1]
            shape[0], shape[1], shape[2], shape[3], shape[4], shape[5] = x, y, 0.0, np.inf, 0.0, 0.0
            shaped = False
            if exact:
                a, b, c = np.float64(conics[i, 0]), np.float64(conics[i, 1]), np.float64(conics[i, 2])
                # Never above the true one, however a, b and c were rounded.
                det = a * c - b * b - 5e-7 * a * c
                shaped = bool(det > 0.0 and a > 0.0 and c > 0.0)
                if shaped:
                    reach = 2.0 * math.log(max(np.float64(opacities[i]) * 255.0, 1.0)) + 2e-3
                    per_a, per_det = 1.0 / a, 1.0 / det
                    height, width = math.sqrt(reach * a * per_det), math.sqrt(reach * c * per_det)
                    shape[2] = b * per_a
                    shape[3] = reach * per_a * (1.0 + 4e-7)
                    shape[4] = det * per_a * per_a
                    shape[5] = -b / c * width
                    left, right = max(left, x - width - LOOSE), min(right, x + width + LOOSE)
                    top, bottom = max(top, y - height - LOOSE), min(bottom, y + height + LOOSE)
            shape[6], shape[7] = _tiles_between(top, bottom, tile_size, tile_height, shaped)
            shape[8], shape[9] = _tiles_between(left, right, tile_size, tile_width, shaped)


@kernel
def arrange(shapes: Any, order: Any, to_shapes: Any, rows: Any) -> None:
    """Shapes [V, SHAPE] front to back, and how many rows of tiles the splats of each chunk touch [chunks].

    A loop this small waits for many splats at once; the loops after it then wait for none.
    """
    chunks, visible = rows.shape[0], order.shape[0]
    for chunk in prange(chunks):
        first, last = visible * chunk // chunks, visible * (chunk + 1) // chunks
        for j in range(first, last):
            i = order[j]
            for k in range(SHAPE):
                to_shapes[j, k] = shapes[i, k]
        touched = 0
        for j in range(first, last):
            touched += int(max(to_shapes[j, 7] - to_shapes[j, 6], np.float32(0.0)))
        rows[chunk] = touched


@device
def _tile_columns(shape: Any, row: int, tile_size: int, per_tile: Any) -> Any:
    """First tile and the one after the last that the splat touches in this row of tiles."""
    first, last = np.float64(shape[8]), np.float64(shape[9])
    if shape[3] < np.inf:
        x, k, e = np.float64(shape[0]), np.float64(shape[2]), np.float64(shape[3])
        d, tip = np.float64(shape[4]), np.float64(shape[5])
        # The band of pixel centres of this row, relative to the splat; in it the ellipse is widest at its own
        # extreme point, or at the band's edge next to it.
        low = row * tile_size + 0.5 - np.float64(shape[1])
        high = low + tile_size - 1
        dy = min(max(tip, low), high)
        right = x - k * dy + math.sqrt(max(e - d * dy * dy, 0.0)) + LOOSE
        dy = min(max(-tip, low), high)
        left = x - k * dy - math.sqrt(max(e - d * dy * dy, 0.0)) - LOOSE
        first = max(first, math.ceil((left + 0.5) * per_tile) - 1.0)
        last = min(last, math.floor((right - 0.5) * per_tile) + 1.0)
    return np.int32(first), np.int32(max(first, last))


@kernel
def cut_up(
    shapes: Any,  # [V, SHAPE]
    order: Any,  # [V]
    splat_images: Any,  # [I + 1] where the images begin among the M splats
    tile_size: int,
    tile_width: int,
    tile_height: int,
    firsts: Any,  # [chunks] where each chunk's spans begin
    spans: Any,  # [rows, 2] int32 out: the tiles of one splat in one row
    tiles_per_gauss: Any,  # [M] out, zeroed before
    counts: Any,  # [chunks, I * tile_height * tile_width] out
) -> None:
    """Which tiles each splat touches, and how many splats each chunk of the order puts into each tile."""
    chunks, visible, per_tile = counts.shape[0], order.shape[0], 1.0 / tile_size
    for chunk in prange(chunks):
        own, image, span = counts[chunk], 0, firsts[chunk]
        own[:] = 0
        for j in range(visible * chunk // chunks, visible * (chunk + 1) // chunks):
            i, shape, touched = order[j], shapes[j], 0
            while i >= splat_images[image + 1]:
                image += 1
            for row in range(int(shape[6]), int(shape[7])):
                base = (image * tile_height + row) * tile_width
                left, right = _tile_columns(shape, row, tile_size, per_tile)
                spans[span, 0], spans[span, 1] = left, right
                span += 1
                for column in range(left, right):
                    own[base + column] += 1
                touched += right - left
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
    shapes: Any,
    depths: Any,  # [M] uint32 bits of float32
    order: Any,
    splat_images: Any,
    tile_width: int,
    tile_height: int,
    image_shift: int,  # bits of a tile number
    firsts: Any,
    spans: Any,
    places: Any,  # [chunks, tiles] from place_tiles
    isect_ids: Any,  # [n_isects] int64 out
    flatten_ids: Any,  # [n_isects] int32 out
) -> None:
    """Deal the splats out; chunks write to disjoint places of every tile's list, in order."""
    chunks, visible = places.shape[0], order.shape[0]
    for chunk in prange(chunks):
        own, image, span = places[chunk], 0, firsts[chunk]
        for j in range(visible * chunk // chunks, visible * (chunk + 1) // chunks):
            i, shape = order[j], shapes[j]
            depth = np.int64(depths[i])
            while i >= splat_images[image + 1]:
                image += 1
            for row in range(int(shape[6]), int(shape[7])):
                for column in range(spans[span, 0], spans[span, 1]):
                    tile = row * tile_width + column
                    cell = image * tile_height * tile_width + tile
                    place = own[cell]
                    own[cell] = place + 1
                    flatten_ids[place] = i
                    key = np.int64(image) << np.int64(image_shift) | np.int64(tile)
                    isect_ids[place] = key << np.int64(32) | depth
                span += 1
