"""Blending kernels: one tile at a time, eight pixels of a row at a time, splats front to back.

A tile's transmittance and colours stay in a buffer of a few kilobytes (first-level cache) while its splats
pass by. What depends on the splat alone is computed once, into a record of one cache line.

Record: x, y (pixel centres on integers), -a/2, -b, -c/2 of the conic, opacity, half-extents in x and y where
alpha falls to 1/255, and up to four channels.
Gradient slot: four channels, opacity, x, y, a, b, c, |x|, |y|.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._jit import device, kernel
from firstlight.render._simd import (
    any_lane,
    at_least,
    at_most,
    lanes,
    load,
    magnitude,
    select,
    splat,
    store,
    total,
)

RECORD = 16
SLOT = 12
ALPHA_MIN = np.float32(1.0 / 255.0)
ALPHA_MAX = np.float32(0.99)
OPAQUE = np.float32(1e-4)  # a tile is finished when no pixel lets more light through
CHECK_EVERY = 8


@kernel
def pack_records(
    means2d: Any,  # [M, 2]
    conics: Any,  # [M, 3]
    colors: Any,  # [M, D]
    opacities: Any,  # [M]
    first_channel: int,
    records: Any,  # [M * RECORD] out
    chunks: int,
) -> None:
    """Fill one record a splat; what can never reach alpha 1/255 gets an empty extent."""
    count = means2d.shape[0]
    channels = min(4, colors.shape[1] - first_channel)
    for chunk in prange(chunks):
        for i in range(count * chunk // chunks, count * (chunk + 1) // chunks):
            base = i * RECORD
            a, b, c, opacity = conics[i, 0], conics[i, 1], conics[i, 2], opacities[i]
            x, y = means2d[i, 0], means2d[i, 1]
            det = np.float64(a) * c - np.float64(b) * b
            usable = opacity >= ALPHA_MIN and det > 0 and math.isfinite(x) and math.isfinite(y)
            extent_x, extent_y = np.float32(-1.0), np.float32(-1.0)
            if usable and math.isfinite(opacity):
                reach = 2.0 * math.log(np.float64(opacity) * 255.0) / det
                extent_x = np.float32(math.sqrt(max(reach * c, 0.0)))
                extent_y = np.float32(math.sqrt(max(reach * a, 0.0)))
            records[base] = x - np.float32(0.5)
            records[base + 1] = y - np.float32(0.5)
            records[base + 2] = np.float32(-0.5) * a
            records[base + 3] = -b
            records[base + 4] = np.float32(-0.5) * c
            records[base + 5] = opacity
            records[base + 6] = extent_x
            records[base + 7] = extent_y
            for channel in range(4):
                value = np.float32(0.0)
                if channel < channels:
                    value = colors[i, first_channel + channel]
                records[base + 8 + channel] = value


@device
def _exp(x: Any) -> Any:
    """exp on [-8, 0]: a fifth-order series of x/8, squared three times; off by 1.2e-3 of itself at -5.5."""
    t = x * splat(np.float32(0.125))
    p = t * splat(np.float32(1 / 120)) + splat(np.float32(1 / 24))
    p = t * p + splat(np.float32(1 / 6))
    p = t * p + splat(np.float32(0.5))
    p = t * p + splat(np.float32(1.0))
    p = t * p + splat(np.float32(1.0))
    p = p * p
    p = p * p
    return p * p


@device
def _span(centre: Any, extent: Any, size: Any) -> Any:
    """First and last whole number in [centre - extent, centre + extent] within [0, size)."""
    low = min(max(centre - extent, np.float32(0.0)), np.float32(size))
    high = max(min(centre + extent, np.float32(size - 1)), np.float32(-1.0))
    return np.intp(math.ceil(low)), np.intp(math.floor(high))


@device
def _open_tile(transmittance: Any, stride: int, tile_size: int, columns: int, rows: int) -> None:
    """Full transmittance inside the picture, none outside: pixels past the border then cost no thought."""
    for y in range(tile_size):
        for x in range(stride):
            inside = y < rows and x < columns
            transmittance[y * stride + x] = np.float32(1.0) if inside else np.float32(0.0)


@device
def _is_opaque(transmittance: Any, cells: int) -> bool:
    most = splat(np.float32(0.0))
    for cell in range(0, cells, 8):
        most = at_least(load(transmittance, cell), most)
    return not any_lane(most >= splat(OPAQUE))


@device
def _blend_tile(
    records: Any,
    ids: Any,
    first: int,
    last: int,
    x0: int,
    y0: int,
    size: int,
    stride: int,
    buffers: Any,
    tag: Any,
) -> int:
    """Add the listed splats to the tile's buffers; returns where in the list it became opaque."""
    transmittance, c0, c1, c2, c3 = buffers
    k = first
    while k < last:
        base = np.intp(ids[k]) * RECORD
        gx, gy = records[base] - np.float32(x0), records[base + 1] - np.float32(y0)
        row0, row1 = _span(gy, records[base + 7], size)
        col0, col1 = _span(gx, records[base + 6], size)
        if col0 <= col1:
            a, opacity = splat(records[base + 2]), splat(records[base + 5])
            b, c = records[base + 3], records[base + 4]
            red, green, blue = splat(records[base + 8]), splat(records[base + 9]), splat(records[base + 10])
            fourth = splat(records[base + 11])
            for half in range(col0 >> 3, (col1 >> 3) + 1):
                dx = (lanes() + splat(np.float32(8 * half))) - splat(gx)
                adx = a * dx
                for row in range(row0, row1 + 1):
                    dy = np.float32(row) - gy
                    power = (adx + splat(b * dy)) * dx + splat(c * dy * dy)
                    alpha = opacity * _exp(at_least(power, splat(np.float32(-8.0))))
                    alpha = at_most(alpha, splat(ALPHA_MAX))
                    alpha = select(alpha >= splat(ALPHA_MIN), alpha, splat(np.float32(0.0)))
                    cell = row * stride + 8 * half
                    before = load(transmittance, cell)
                    weight = alpha * before
                    store(c0, cell, weight * red + load(c0, cell))
                    store(c1, cell, weight * green + load(c1, cell))
                    store(c2, cell, weight * blue + load(c2, cell))
                    if len(tag) == 4:
                        store(c3, cell, weight * fourth + load(c3, cell))
                    store(transmittance, cell, before - weight)
        k += 1
        if (k - first) % CHECK_EVERY == 0 and _is_opaque(transmittance, size * stride):
            break
    return k


@kernel
def blend_forward(
    records: Any,  # [M * RECORD]
    ids: Any,  # [n_isects]
    starts: Any,  # [tiles + 1]
    bounds: Any,  # [chunks + 1] tile numbers
    masks: Any,  # [tiles] bool, or empty
    backgrounds: Any,  # [I, D], or empty
    tile_size: int,
    first_channel: int,
    tag: Any,  # a tuple of 3 or 4 entries: how many channels to blend
    colors: Any,  # [I, H, W, D] out
    alphas: Any,  # [I, H, W] out
    stops: Any,  # [tiles] out: where each tile became opaque
) -> None:
    """Blend every tile; chunks own disjoint tiles, so the result does not depend on the threads."""
    _, height, width, depth = colors.shape
    across, down = -(-width // tile_size), -(-height // tile_size)
    stride = -(-tile_size // 8) * 8
    for chunk in prange(bounds.shape[0] - 1):
        transmittance = np.empty(tile_size * stride, np.float32)
        c0, c1 = np.empty_like(transmittance), np.empty_like(transmittance)
        c2, c3 = np.empty_like(transmittance), np.empty_like(transmittance)
        for tile in range(bounds[chunk], bounds[chunk + 1]):
            image, place = tile // (across * down), tile % (across * down)
            x0, y0 = (place % across) * tile_size, (place // across) * tile_size
            columns, rows = min(tile_size, width - x0), min(tile_size, height - y0)
            _open_tile(transmittance, stride, tile_size, columns, rows)
            c0[:] = 0.0
            c1[:] = 0.0
            c2[:] = 0.0
            c3[:] = 0.0
            last = starts[tile + 1]
            if masks.shape[0] > 0 and not masks[tile]:
                last = starts[tile]
            buffers = (transmittance, c0, c1, c2, c3)
            stops[tile] = _blend_tile(
                records, ids, starts[tile], last, x0, y0, tile_size, stride, buffers, tag
            )
            for channel in range(min(len(tag), depth - first_channel)):
                source = buffers[channel + 1]
                behind = np.float32(0.0)
                if backgrounds.shape[0] > 0:
                    behind = backgrounds[image, first_channel + channel]
                for y in range(rows):
                    for x in range(columns):
                        cell = y * stride + x
                        value = source[cell] + transmittance[cell] * behind
                        colors[image, y0 + y, x0 + x, first_channel + channel] = value
            for y in range(rows):
                for x in range(columns):
                    alphas[image, y0 + y, x0 + x] = np.float32(1.0) - transmittance[y * stride + x]


@device
def _open_tile_backward(
    colors: Any,
    alphas: Any,
    v_colors: Any,
    v_alphas: Any,
    image: int,
    x0: int,
    y0: int,
    columns: int,
    rows: int,
    stride: int,
    first_channel: int,
    behind: Any,
    grads: Any,
) -> None:
    """Load the picture's gradient and, in ``behind``, what everything blended so far is worth to the loss."""
    channels = colors.shape[3] - first_channel
    behind[:] = 0.0
    for channel in range(min(len(grads), channels)):
        grads[channel][:] = 0.0
        for y in range(rows):
            for x in range(columns):
                v = v_colors[image, y0 + y, x0 + x, first_channel + channel]
                grads[channel][y * stride + x] = v
                behind[y * stride + x] += v * colors[image, y0 + y, x0 + x, first_channel + channel]
    if first_channel == 0:
        for y in range(rows):
            for x in range(columns):
                left = np.float32(1.0) - alphas[image, y0 + y, x0 + x]
                behind[y * stride + x] -= left * v_alphas[image, y0 + y, x0 + x]


@device
def _blend_tile_backward(
    records: Any,
    ids: Any,
    first: int,
    last: int,
    x0: int,
    y0: int,
    size: int,
    stride: int,
    buffers: Any,
    absolute: bool,
    slots: Any,
    tag: Any,
) -> None:
    """Walk front to back again; ``behind`` holds (light still to come) . gradient, so nothing is stored."""
    transmittance, behind, g0, g1, g2, g3 = buffers
    zero, one = splat(np.float32(0.0)), splat(np.float32(1.0))
    for k in range(first, last):
        splat_id = np.intp(ids[k])
        base = splat_id * RECORD
        gx, gy = records[base] - np.float32(x0), records[base + 1] - np.float32(y0)
        row0, row1 = _span(gy, records[base + 7], size)
        col0, col1 = _span(gx, records[base + 6], size)
        if col0 > col1 or row0 > row1:
            continue
        a, opacity = splat(records[base + 2]), splat(records[base + 5])
        b, c = records[base + 3], records[base + 4]
        red, green, blue = splat(records[base + 8]), splat(records[base + 9]), splat(records[base + 10])
        fourth = splat(records[base + 11])
        v_red, v_green, v_blue, v_fourth = zero, zero, zero, zero
        s, sx, sy, sxx, sxy, syy, abs_x, abs_y = zero, zero, zero, zero, zero, zero, zero, zero
        for half in range(col0 >> 3, (col1 >> 3) + 1):
            dx = (lanes() + splat(np.float32(8 * half))) - splat(gx)
            adx = a * dx
            for row in range(row0, row1 + 1):
                dy = np.float32(row) - gy
                power = (adx + splat(b * dy)) * dx + splat(c * dy * dy)
                unclamped = opacity * _exp(at_least(power, splat(np.float32(-8.0))))
                alpha = at_most(unclamped, splat(ALPHA_MAX))
                counts = alpha >= splat(ALPHA_MIN)
                if not any_lane(counts):
                    continue
                alpha = select(counts, alpha, zero)
                cell = row * stride + 8 * half
                before = load(transmittance, cell)
                weight = alpha * before
                q0, q1, q2 = load(g0, cell), load(g1, cell), load(g2, cell)
                worth = q0 * red + (q1 * green + q2 * blue)
                v_red = weight * q0 + v_red
                v_green = weight * q1 + v_green
                v_blue = weight * q2 + v_blue
                if len(tag) == 4:
                    q3 = load(g3, cell)
                    worth = q3 * fourth + worth
                    v_fourth = weight * q3 + v_fourth
                rest = load(behind, cell) - weight * worth
                store(behind, cell, rest)
                store(transmittance, cell, before - weight)
                v_alpha = before * worth - rest / (one - alpha)
                v = select(unclamped < splat(ALPHA_MAX), v_alpha * alpha, zero)
                vx, vy = v * dx, v * splat(dy)
                s = s + v
                sx = sx + vx
                sy = sy + vy
                sxx = vx * dx + sxx
                sxy = vx * splat(dy) + sxy
                syy = vy * splat(dy) + syy
                if absolute:
                    push_x = (adx + adx) + splat(b * dy)
                    push_y = splat(b) * dx + splat(np.float32(2.0) * c * dy)
                    abs_x = abs_x + magnitude(v * push_x)
                    abs_y = abs_y + magnitude(v * push_y)
        slot = splat_id * SLOT
        total_x, total_y = total(sx), total(sy)
        slots[slot] += total(v_red)
        slots[slot + 1] += total(v_green)
        slots[slot + 2] += total(v_blue)
        if len(tag) == 4:
            slots[slot + 3] += total(v_fourth)
        slots[slot + 4] += total(s) / records[base + 5]
        slots[slot + 5] -= np.float32(2.0) * records[base + 2] * total_x + b * total_y
        slots[slot + 6] -= np.float32(2.0) * c * total_y + b * total_x
        slots[slot + 7] -= np.float32(0.5) * total(sxx)
        slots[slot + 8] -= total(sxy)
        slots[slot + 9] -= np.float32(0.5) * total(syy)
        if absolute:
            slots[slot + 10] += total(abs_x)
            slots[slot + 11] += total(abs_y)


@kernel
def blend_backward(
    records: Any,  # [M * RECORD]
    ids: Any,  # [n_isects]
    starts: Any,  # [tiles + 1]
    stops: Any,  # [tiles]
    bounds: Any,  # [chunks + 1] tile numbers
    tile_size: int,
    first_channel: int,
    tag: Any,
    absolute: bool,
    colors: Any,  # [I, H, W, D] the picture, background included
    alphas: Any,  # [I, H, W]
    v_colors: Any,  # [I, H, W, D]
    v_alphas: Any,  # [I, H, W]
    slots: Any,  # [chunks, M * SLOT] out, zeroed here
) -> None:
    """Gradients of one group of channels: one buffer a chunk, so that no two threads add to one number."""
    _, height, width, _ = colors.shape
    across, down = -(-width // tile_size), -(-height // tile_size)
    stride = -(-tile_size // 8) * 8
    for chunk in prange(bounds.shape[0] - 1):
        own = slots[chunk]
        own[:] = 0.0
        transmittance = np.empty(tile_size * stride, np.float32)
        behind, g0 = np.empty_like(transmittance), np.zeros_like(transmittance)
        g1, g2, g3 = np.zeros_like(g0), np.zeros_like(g0), np.zeros_like(g0)
        for tile in range(bounds[chunk], bounds[chunk + 1]):
            image, place = tile // (across * down), tile % (across * down)
            x0, y0 = (place % across) * tile_size, (place // across) * tile_size
            columns, rows = min(tile_size, width - x0), min(tile_size, height - y0)
            if stops[tile] == starts[tile]:
                continue
            _open_tile(transmittance, stride, tile_size, columns, rows)
            _open_tile_backward(
                colors,
                alphas,
                v_colors,
                v_alphas,
                image,
                x0,
                y0,
                columns,
                rows,
                stride,
                first_channel,
                behind,
                (g0, g1, g2, g3),
            )
            _blend_tile_backward(
                records,
                ids,
                starts[tile],
                stops[tile],
                x0,
                y0,
                tile_size,
                stride,
                (transmittance, behind, g0, g1, g2, g3),
                absolute,
                own,
                tag,
            )


@kernel
def gather_slots(
    slots: Any,  # [chunks, M * SLOT]
    first_channel: int,
    v_means2d: Any,  # [M, 2] added to
    v_conics: Any,  # [M, 3] added to
    v_colors: Any,  # [M, D] set
    v_opacities: Any,  # [M] added to
    v_absolute: Any,  # [M, 2] added to, or empty
) -> None:
    """Sum the chunks' buffers in their order and hand the numbers to their tensors."""
    parts, count = slots.shape[0], v_means2d.shape[0]
    channels = min(4, v_colors.shape[1] - first_channel)
    for chunk in prange(parts):
        sums = np.empty(SLOT, np.float32)
        for i in range(count * chunk // parts, count * (chunk + 1) // parts):
            sums[:] = slots[0, i * SLOT : (i + 1) * SLOT]
            for part in range(1, parts):
                for j in range(SLOT):
                    sums[j] += slots[part, i * SLOT + j]
            for channel in range(channels):
                v_colors[i, first_channel + channel] = sums[channel]
            v_opacities[i] += sums[4]
            v_means2d[i, 0] += sums[5]
            v_means2d[i, 1] += sums[6]
            for j in range(3):
                v_conics[i, j] += sums[7 + j]
            if v_absolute.shape[0] > 0:
                v_absolute[i, 0] += sums[10]
                v_absolute[i, 1] += sums[11]
