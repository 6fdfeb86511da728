"""Blending kernels: one tile at a time, eight pixels of a row at a time, splats front to back.

A tile's pixels stay in one small buffer (first-level cache) while its splats pass by. Three things keep the
inner loop short:
- What depends on the splat alone is computed once, into a record of one cache line.
- The rows that the ellipse alpha = 1/255 covers are worked out exactly for each half of the tile, a batch of
  splats ahead, so that the inner loop never waits for them and visits next to no pixel in vain.
- All of the buffer, its constants too, hangs on one pointer; LLVM then folds the loads into the arithmetic.
Many small splats outgrow the second-level cache, and a splat's record and slot are then far away: the
backward pass asks for both a batch ahead (the forward pass gained nothing by it).

Absolute gradients are those of all channels together, at each pixel. Where there are more than four, the
first pass then carries the worth of the others too (``_open_others``, ``_add_others``), and the later ones
give gradients of their colours alone.

Record: x, y (pixel centres on integers); A, B, C so that log(alpha / opacity) / 8 = A dx² + B dx dy + C dy²;
opacity; the ellipse: half-width, abscissa of its lowest point, slope k, e, d so that its edge at dx is
-k dx ± √(e - d dx²); four channels.
Slot (sums over pixels, with v = alpha dL/dalpha): four channels, v, v dx, v dy, v dx², v dx dy, v dy²,
|v dlog(alpha)/dx|, the same for y.
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
    fetch_ahead,
    lanes,
    load,
    magnitude,
    select,
    splat,
    store,
    total,
    totals,
)

RECORD = 16
CHANNELS = 11  # where they begin in a record
SLOT = 12
TILE = 16  # what a buffer holds: a tile of up to so many pixels a side, or a block of a larger one
ALPHA_MIN = np.float32(1.0 / 255.0)
ALPHA_MAX = np.float32(0.99)
OPAQUE = np.float32(1e-4)  # a tile is finished when no pixel lets more light through
BATCH = 16  # splats planned ahead; whether the tile is opaque is asked as often
NEVER = np.float32(-1e30)
PLAN = 5  # a record's place, then first and last row in the left and the right half

# The forward buffer: for each row 16 numbers of transmittance and of each channel, then constants.
ROW = 5 * TILE
# The backward buffer: transmittance, light behind, and the gradient of each channel; then constants, then the
# gradients of channels that other passes blend, plane by plane.
ROW_BACK = 6 * TILE
PLANE = TILE * TILE


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
    """Fill one record a splat; what can never reach alpha 1/255 gets an ellipse without width."""
    count = means2d.shape[0]
    channels = min(4, colors.shape[1] - first_channel)
    for chunk in prange(chunks):
        for i in range(count * chunk // chunks, count * (chunk + 1) // chunks):
            r = records[i * RECORD : (i + 1) * RECORD]
            r[:] = 0.0
            r[6] = NEVER
            a, b, c = np.float64(conics[i, 0]), np.float64(conics[i, 1]), np.float64(conics[i, 2])
            opacity, x, y = opacities[i], means2d[i, 0], means2d[i, 1]
            # A hyperbola's falloff grows; what only rounding made one is a needle.
            shaped = a > 0 and c > 0 and a < np.inf and c < np.inf and b * b <= 1.001 * a * c
            there = math.isfinite(opacity) and math.isfinite(x) and math.isfinite(y)
            if not (shaped and there and opacity >= ALPHA_MIN):
                continue
            r[0] = x - np.float32(0.5)
            r[1] = y - np.float32(0.5)
            r[2] = -a / 16
            r[3] = -b / 8
            r[4] = -c / 16
            r[5] = opacity
            reach = 2.0 * math.log(min(np.float64(opacity), 1e6) * 255.0) + 1e-5
            det = a * c - b * b - 5e-7 * a * c  # never above the true one, however a, b and c were rounded
            if det > 0:
                r[6] = min(math.sqrt(reach * c / det), 1e15)
                r[7] = -b / a * math.sqrt(reach * a / det)
                r[8] = b / c
                r[9] = min(reach / c, 1e30)
                r[10] = min(det / (c * c), 1e30)
            else:  # float32 cannot tell where the edge of this needle is
                r[6], r[9] = 1e15, 1e30
            for channel in range(channels):
                r[CHANNELS + channel] = colors[i, first_channel + channel]


@device
def _rows(centre: Any, k: Any, e: Any, d: Any, low_x: Any, high_x: Any, rows: int) -> Any:
    """First and last row of the ellipse between two columns relative to its centre."""
    edge_low = -k * low_x - math.sqrt(max(e - d * low_x * low_x, np.float32(0.0)))
    edge_high = -k * high_x + math.sqrt(max(e - d * high_x * high_x, np.float32(0.0)))
    first = max(min(centre + edge_low, np.float32(TILE)), np.float32(0.0))
    last = min(max(centre + edge_high, np.float32(-1.0)), np.float32(rows - 1))
    return np.int32(math.ceil(first)), np.int32(math.floor(last))


@device
def _clamp(x: Any, low: Any, high: Any) -> Any:
    return min(max(x, low), high)


@device
def _plan(
    records: Any, ids: Any, first: int, last: int, x0: int, y0: int, columns: int, rows: int, plan: Any
) -> int:
    """Which rows each of the listed splats covers in each half of the tile; leaves out those with none."""
    kept = 0
    for k in range(first, last):
        base = np.intp(ids[k]) * RECORD
        gx, gy = records[base] - np.float32(x0), records[base + 1] - np.float32(y0)
        half_width, lowest = records[base + 6], records[base + 7]
        k_, e, d = records[base + 8], records[base + 9], records[base + 10]
        place = kept * PLAN
        plan[place] = base
        covered = 0
        for half in range(2):
            low, high = np.float32(8 * half) - gx, np.float32(8 * half + 7) - gx
            begin, end = np.int32(0), np.int32(-1)
            if low <= half_width and high >= -half_width and 8 * half < columns:
                # The edge is lowest at ``lowest`` (seen from above: largest y), or at the column next to it.
                begin, end = _rows(gy, k_, e, d, _clamp(-lowest, low, high), _clamp(lowest, low, high), rows)
            plan[place + 1 + 2 * half] = begin
            plan[place + 2 + 2 * half] = end
            here: Any = max(end - begin + 1, 0)
            covered += here
        if covered > 0:
            kept += 1
    return kept


@device
def _fetch_records(records: Any, ids: Any, first: int, last: int) -> None:
    """Ask for the records of the listed splats, which lie anywhere: to wait for one costs many rows' work."""
    for k in range(first, last):
        fetch_ahead(records, np.intp(ids[k]) * RECORD)


@device
def _fetch_slots(slots: Any, plan: Any, kept: int) -> None:
    """Ask for the slots, which may straddle two cache lines, of the splats that are planned."""
    for item in range(kept):
        slot = np.intp(plan[item * PLAN]) // RECORD * SLOT
        fetch_ahead(slots, slot)
        fetch_ahead(slots, slot + SLOT - 1)


@device
def _fill_constants(buffer: Any, at: int) -> None:
    """Eight copies of each constant of the inner loop, then the numbers of the rows."""
    for lane in range(8):
        buffer[at + lane] = -1.0
        buffer[at + 8 + lane] = 1 / 120
        buffer[at + 16 + lane] = 1 / 24
        buffer[at + 24 + lane] = 1 / 6
        buffer[at + 32 + lane] = 0.5
        buffer[at + 40 + lane] = 1.0
        buffer[at + 48 + lane] = ALPHA_MAX
        buffer[at + 56 + lane] = ALPHA_MIN
    for row in range(TILE):
        buffer[at + 64 + row] = row


CONSTANTS = 64 + TILE


@device
def _falloff(t: Any, buffer: Any, at: int) -> Any:
    """exp(8 t) for t in [-1, 0]: a fifth-order series, squared three times.

    Too small by 1.2e-3 of itself where alpha reaches 1/255, by 1e-5 where it is an eighth.
    """
    t = at_least(t, load(buffer, at))
    p = t * load(buffer, at + 8) + load(buffer, at + 16)
    p = t * p + load(buffer, at + 24)
    p = t * p + load(buffer, at + 32)
    p = t * p + load(buffer, at + 40)
    p = t * p + load(buffer, at + 40)
    p = p * p
    p = p * p
    return p * p


@device
def _block(number: int, tile_size: int, width: int, height: int) -> Any:
    """Tile, image, corner and size of a block; a tile has one, or as many as it takes to cover it."""
    side = -(-tile_size // TILE)
    across, down = -(-width // tile_size), -(-height // tile_size)
    tile, part = number // (side * side), number % (side * side)
    image, place = tile // (across * down), tile % (across * down)
    left, top = part % side * TILE, part // side * TILE
    x0, y0 = place % across * tile_size + left, place // across * tile_size + top
    columns = max(0, min(TILE, tile_size - left, width - x0))
    rows = max(0, min(TILE, tile_size - top, height - y0))
    return tile, image, x0, y0, columns, rows


@device
def _open_tile(buffer: Any, row_size: int, columns: int, rows: int) -> None:
    """Full transmittance inside the picture, none outside: pixels past the border then cost no thought."""
    for y in range(TILE):
        for x in range(TILE):
            inside = y < rows and x < columns
            buffer[y * row_size + x] = np.float32(1.0) if inside else np.float32(0.0)


@device
def _is_opaque(buffer: Any) -> bool:
    most = splat(np.float32(0.0))
    for row in range(TILE):
        most = at_least(load(buffer, row * ROW), most)
        most = at_least(load(buffer, row * ROW + 8), most)
    return not any_lane(most >= splat(OPAQUE))


@device
def _blend_half(
    records: Any, base: Any, gx: Any, gy: Any, half: int, begin: Any, end: Any, buffer: Any, tag: Any
) -> None:
    """Add one splat to rows begin to end of one half of the tile."""
    constants = TILE * ROW
    dx = (lanes() + splat(np.float32(8 * half))) - splat(gx)
    across = splat(records[base + 2]) * dx * dx
    mixed = splat(records[base + 3]) * dx
    c, opacity, centre = splat(records[base + 4]), splat(records[base + 5]), splat(gy)
    red, green = splat(records[base + CHANNELS]), splat(records[base + CHANNELS + 1])
    blue, fourth = splat(records[base + CHANNELS + 2]), splat(records[base + CHANNELS + 3])
    for row in range(begin, end + 1):
        cell = row * ROW + 8 * half
        dy = splat(buffer[constants + 64 + row]) - centre
        alpha = opacity * _falloff(dy * (c * dy + mixed) + across, buffer, constants)
        alpha = at_most(alpha, load(buffer, constants + 48))
        alpha = select(alpha >= load(buffer, constants + 56), alpha, splat(np.float32(0.0)))
        before = load(buffer, cell)
        weight = alpha * before
        store(buffer, cell + TILE, weight * red + load(buffer, cell + TILE))
        store(buffer, cell + 2 * TILE, weight * green + load(buffer, cell + 2 * TILE))
        store(buffer, cell + 3 * TILE, weight * blue + load(buffer, cell + 3 * TILE))
        if len(tag) == 4:
            store(buffer, cell + 4 * TILE, weight * fourth + load(buffer, cell + 4 * TILE))
        store(buffer, cell, before - weight)


@device
def _blend_tile(
    records: Any,
    ids: Any,
    first: int,
    last: int,
    x0: int,
    y0: int,
    columns: int,
    rows: int,
    plan: Any,
    buffer: Any,
    tag: Any,
) -> int:
    """Add the listed splats to the tile's buffer; returns where in the list it became opaque."""
    k = first
    while k < last:
        until = min(k + BATCH, last)
        kept = _plan(records, ids, k, until, x0, y0, columns, rows, plan)
        for item in range(kept):
            place = item * PLAN
            base = np.intp(plan[place])
            gx, gy = records[base] - np.float32(x0), records[base + 1] - np.float32(y0)
            for half in range(2):
                begin, end = np.intp(plan[place + 1 + 2 * half]), np.intp(plan[place + 2 + 2 * half])
                _blend_half(records, base, gx, gy, half, begin, end, buffer, tag)
        k = until
        if _is_opaque(buffer):
            break
    return k


@kernel
def blend_forward(
    records: Any,  # [M * RECORD]
    ids: Any,  # [n_isects]
    starts: Any,  # [tiles + 1]
    bounds: Any,  # [chunks + 1] block numbers
    masks: Any,  # [tiles] bool, or empty
    backgrounds: Any,  # [I, D], or empty
    tile_size: int,
    first_channel: int,
    tag: Any,  # a tuple of 3 or 4 entries: how many channels to blend
    colors: Any,  # [I, H, W, D] out
    alphas: Any,  # [I, H, W] out
    stops: Any,  # [blocks] out: where each became opaque
) -> None:
    """Blend every tile; chunks own disjoint tiles, so the result does not depend on the threads."""
    _, height, width, depth = colors.shape
    for chunk in prange(bounds.shape[0] - 1):
        buffer = np.zeros(TILE * ROW + CONSTANTS, np.float32)
        plan = np.empty(BATCH * PLAN, np.int32)
        _fill_constants(buffer, TILE * ROW)
        for block in range(bounds[chunk], bounds[chunk + 1]):
            tile, image, x0, y0, columns, rows = _block(block, tile_size, width, height)
            buffer[: TILE * ROW] = 0.0
            _open_tile(buffer, ROW, columns, rows)
            last = starts[tile + 1]
            if masks.shape[0] > 0 and not masks[tile]:
                last = starts[tile]
            stops[block] = _blend_tile(
                records, ids, starts[tile], last, x0, y0, columns, rows, plan, buffer, tag
            )
            for channel in range(min(len(tag), depth - first_channel)):
                behind = np.float32(0.0)
                if backgrounds.shape[0] > 0:
                    behind = backgrounds[image, first_channel + channel]
                for y in range(rows):
                    for x in range(columns):
                        cell = y * ROW + x
                        value = buffer[cell + (channel + 1) * TILE] + buffer[cell] * behind
                        colors[image, y0 + y, x0 + x, first_channel + channel] = value
            for y in range(rows):
                for x in range(columns):
                    alphas[image, y0 + y, x0 + x] = np.float32(1.0) - buffer[y * ROW + x]


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
    first_channel: int,
    buffer: Any,
) -> None:
    """Load the picture's gradient, and what all the light behind the first splat is worth to the loss."""
    channels = min(4, colors.shape[3] - first_channel)
    for y in range(rows):
        for x in range(columns):
            cell = y * ROW_BACK + x
            worth = np.float32(0.0)
            if first_channel == 0:
                left = np.float32(1.0) - alphas[image, y0 + y, x0 + x]
                worth -= left * v_alphas[image, y0 + y, x0 + x]
            for channel in range(channels):
                v = v_colors[image, y0 + y, x0 + x, first_channel + channel]
                buffer[cell + (2 + channel) * TILE] = v
                worth += v * colors[image, y0 + y, x0 + x, first_channel + channel]
            buffer[cell + TILE] = worth


@device
def _open_others(
    colors: Any, v_colors: Any, image: int, x0: int, y0: int, columns: int, rows: int, first: int, last: int,
    row_size: int, buffer: Any, at: int,
) -> None:  # fmt: skip
    """Load the gradients of channels that other passes blend, and add what their light is worth."""
    buffer[at:] = 0.0
    for channel in range(first, last):
        plane = at + (channel - first) * PLANE
        for y in range(rows):
            for x in range(columns):
                v = v_colors[image, y0 + y, x0 + x, channel]
                buffer[plane + y * TILE + x] = v
                buffer[y * row_size + x + TILE] += v * colors[image, y0 + y, x0 + x, channel]


@device
def _add_others(worth: Any, shades: Any, i: Any, first: int, last: int, buffer: Any, at: Any) -> Any:
    """``worth`` of a splat at eight pixels with that of its channels ``first`` to ``last``."""
    for channel in range(first, last):
        worth = load(buffer, at + (channel - first) * PLANE) * splat(shades[i, channel]) + worth
    return worth


@device
def _blend_splat_backward(
    records: Any,
    base: Any,
    shades: Any,
    x0: int,
    y0: int,
    plan: Any,
    place: int,
    absolute: bool,
    buffer: Any,
    slots: Any,
    tag: Any,
) -> None:
    """Add one splat's sums over one tile to its slot.

    ``rest`` holds what the light still to come is worth, so front to back is enough and nothing is stored.
    Along a column dx does not change: the powers of dx are multiplied in once a half, not once a row.
    """
    constants = TILE * ROW_BACK
    gx, gy = records[base] - np.float32(x0), records[base + 1] - np.float32(y0)
    a, b, c = splat(records[base + 2]), splat(records[base + 3]), splat(records[base + 4])
    opacity, centre = splat(records[base + 5]), splat(gy)
    red, green = splat(records[base + CHANNELS]), splat(records[base + CHANNELS + 1])
    blue, fourth = splat(records[base + CHANNELS + 2]), splat(records[base + CHANNELS + 3])
    zero = splat(np.float32(0.0))
    v_red, v_green, v_blue, v_fourth = zero, zero, zero, zero
    s, sx, sy, sxx, sxy, syy, abs_x, abs_y = zero, zero, zero, zero, zero, zero, zero, zero
    for half in range(2):
        begin, end = np.intp(plan[place + 1 + 2 * half]), np.intp(plan[place + 2 + 2 * half])
        dx = (lanes() + splat(np.float32(8 * half))) - splat(gx)
        across, mixed = a * dx * dx, b * dx
        v0, v1, v2 = zero, zero, zero
        for row in range(begin, end + 1):
            cell = row * ROW_BACK + 8 * half
            dy = splat(buffer[constants + 64 + row]) - centre
            unclamped = opacity * _falloff(dy * (c * dy + mixed) + across, buffer, constants)
            alpha = at_most(unclamped, load(buffer, constants + 48))
            alpha = select(alpha >= load(buffer, constants + 56), alpha, zero)
            before = load(buffer, cell)
            weight = alpha * before
            q0, q1 = load(buffer, cell + 2 * TILE), load(buffer, cell + 3 * TILE)
            q2 = load(buffer, cell + 4 * TILE)
            worth = q0 * red + (q1 * green + q2 * blue)
            v_red = weight * q0 + v_red
            v_green = weight * q1 + v_green
            v_blue = weight * q2 + v_blue
            if len(tag) >= 4:
                q3 = load(buffer, cell + 5 * TILE)
                worth = q3 * fourth + worth
                v_fourth = weight * q3 + v_fourth
            if len(tag) == 5:
                at = constants + CONSTANTS + row * TILE + 8 * half
                worth = _add_others(worth, shades, base // RECORD, 4, shades.shape[1], buffer, at)
            rest = load(buffer, cell + TILE) - weight * worth
            store(buffer, cell + TILE, rest)
            store(buffer, cell, before - weight)
            v_alpha = before * worth - rest / (load(buffer, constants + 40) - alpha)
            v = select(unclamped < load(buffer, constants + 48), v_alpha * alpha, zero)
            vy = v * dy
            v0 = v0 + v
            v1 = v1 + vy
            v2 = vy * dy + v2
            if absolute:
                abs_x = abs_x + magnitude(v * (a * (dx + dx) + b * dy))
                abs_y = abs_y + magnitude(v * (c * (dy + dy) + mixed))
        vx = v0 * dx
        s = s + v0
        sx = sx + vx
        sxx = vx * dx + sxx
        sy = sy + v1
        sxy = v1 * dx + sxy
        syy = syy + v2
    slot = (base // RECORD) * SLOT
    sums = totals(v_red, v_green, v_blue, v_fourth, s, sx, sy, sxx)
    store(slots, slot, load(slots, slot) + sums)
    slots[slot + 8] += total(sxy)
    slots[slot + 9] += total(syy)
    if absolute:
        slots[slot + 10] += total(abs_x)
        slots[slot + 11] += total(abs_y)


@kernel
def blend_backward(
    records: Any,  # [M * RECORD]
    ids: Any,  # [n_isects]
    starts: Any,  # [tiles + 1]
    stops: Any,  # [blocks]
    bounds: Any,  # [chunks + 1] block numbers
    tile_size: int,
    first_channel: int,
    tag: Any,  # as in ``blend_forward``; 5 entries: the first four channels, and the worth of all
    absolute: bool,
    shades: Any,  # [M, D] the splats' colours
    colors: Any,  # [I, H, W, D] the picture, background included
    alphas: Any,  # [I, H, W]
    v_colors: Any,  # [I, H, W, D]
    v_alphas: Any,  # [I, H, W]
    slots: Any,  # [chunks, M * SLOT] out, zeroed here
) -> None:
    """Sums for one group of channels: one buffer a chunk, so that no two threads add to one number."""
    _, height, width, depth = colors.shape
    others = depth - 4 if len(tag) == 5 else 0
    for chunk in prange(bounds.shape[0] - 1):
        own = slots[chunk]
        own[:] = 0.0
        buffer = np.zeros(TILE * ROW_BACK + CONSTANTS + others * PLANE, np.float32)
        plan = np.empty(BATCH * PLAN, np.int32)
        _fill_constants(buffer, TILE * ROW_BACK)
        for block in range(bounds[chunk], bounds[chunk + 1]):
            tile, image, x0, y0, columns, rows = _block(block, tile_size, width, height)
            if stops[block] == starts[tile]:
                continue
            buffer[: TILE * ROW_BACK] = 0.0
            _open_tile(buffer, ROW_BACK, columns, rows)
            _open_tile_backward(
                colors, alphas, v_colors, v_alphas, image, x0, y0, columns, rows, first_channel, buffer
            )
            if len(tag) == 5:
                _open_others(
                    colors, v_colors, image, x0, y0, columns, rows, 4, depth, ROW_BACK, buffer,
                    TILE * ROW_BACK + CONSTANTS,
                )  # fmt: skip
            for k in range(starts[tile], stops[block], BATCH):
                until = min(k + BATCH, stops[block])
                _fetch_records(records, ids, until, min(until + BATCH, stops[block]))
                kept = _plan(records, ids, k, until, x0, y0, columns, rows, plan)
                _fetch_slots(own, plan, kept)
                for item in range(kept):
                    at = item * PLAN
                    base = np.intp(plan[at])
                    _blend_splat_backward(records, base, shades, x0, y0, plan, at, absolute, buffer, own, tag)


@kernel
def gather_slots(
    slots: Any,  # [chunks, M * SLOT]
    conics: Any,  # [M, 3]
    opacities: Any,  # [M]
    first_channel: int,
    v_means2d: Any,  # [M, 2] out
    v_conics: Any,  # [M, 3] out
    v_colors: Any,  # [M, D] out, the channels of this group
    v_opacities: Any,  # [M] out
    v_absolute: Any,  # [M, 2] out, or empty
) -> None:
    """Sum the chunks' buffers in their order and turn the sums into gradients.

    All but the colours' gradients are sums over groups of channels: set by the first, added to by the rest.
    With absolute gradients the first alone has them all.
    """
    parts, count = slots.shape[0], v_means2d.shape[0]
    channels = min(4, v_colors.shape[1] - first_channel)
    for chunk in prange(parts):
        sums = np.empty(SLOT, np.float32)
        for i in range(count * chunk // parts, count * (chunk + 1) // parts):
            for j in range(SLOT):
                sums[j] = slots[0, i * SLOT + j]
            for part in range(1, parts):
                for j in range(SLOT):
                    sums[j] += slots[part, i * SLOT + j]
            for channel in range(channels):
                v_colors[i, first_channel + channel] = sums[channel]
            if first_channel == 0:
                v_opacities[i], v_means2d[i, 0], v_means2d[i, 1] = 0.0, 0.0, 0.0
                v_conics[i, 0], v_conics[i, 1], v_conics[i, 2] = 0.0, 0.0, 0.0
            elif v_absolute.shape[0] > 0:
                continue
            if opacities[i] >= ALPHA_MIN:
                v_opacities[i] += sums[4] / opacities[i]
            a, b, c = conics[i, 0], conics[i, 1], conics[i, 2]
            v_means2d[i, 0] += a * sums[5] + b * sums[6]
            v_means2d[i, 1] += b * sums[5] + c * sums[6]
            v_conics[i, 0] -= np.float32(0.5) * sums[7]
            v_conics[i, 1] -= sums[8]
            v_conics[i, 2] -= np.float32(0.5) * sums[9]
            if v_absolute.shape[0] > 0:
                v_absolute[i, 0] = np.float32(8.0) * sums[10]
                v_absolute[i, 1] = np.float32(8.0) * sums[11]
