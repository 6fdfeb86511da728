"""Surfel blending kernels: one tile at a time, eight pixels of a row at a time, front to back.

The ray of pixel (x, y) meets the plane of a surfel at (u, v) standard deviations. With a, b, w the rows of
its ray transform, the homogeneous (u, v, 1) is (x w - a) × (y w - b) = a × b + x (b × w) + y (w × a): three
forms U, V, W, linear in the pixel. The kernel divides once, t = -(U² + V²) / W², and takes the low-pass
filter's value where that is larger (Huang et al. 2024, eq. 11). The rest is built like ``_blend_kernels``.
The plan's rows cover the ellipse where the surfel itself reaches alpha 1/255 and the disc where its filter
does; a surfel whose ellipse is cut open by the camera plane is asked everywhere.

The last channel is the depth: it stands fourth in the last group of channels, and the maps of distortion and
of the median come from it. With absolute gradients that group's backward pass, which comes last, carries the
worth of all channels, and the others give gradients of their colours alone.

Record: U, V, W (constant, along x, along y; about the surfel's means2d, of any common scale, U and V less by
a factor of 4, so that t is log(alpha / opacity) / 8); means2d; opacity; the ellipse: centre and, as in
``_blend_kernels``, half-width, abscissa of its lowest point, k, e, d; the disc's radius; four channels;
normal.
Slot (sums over pixels, with v = alpha dL/dalpha, p = -v/W² and q = p t W where the surfel itself counts,
f = v where its filter does): four channels, normal, v; p, p dx, p dy, p dx², p dx dy, p dy², q, q dx; q dy,
f dx, f dy, |f dx|, |f dy|.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._blend_kernels import (
    ALPHA_MIN,
    BATCH,
    CONSTANTS,
    OPAQUE,
    PLANE,
    TILE,
    _add_others,
    _block,
    _clamp,
    _falloff,
    _fill_constants,
    _open_others,
    _open_tile,
    _rows,
)
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
    totals,
)

RECORD = 32
MEAN = 9  # where each begins in a record
OPACITY = 11
ELLIPSE = 12
DISC = 19
CHANNELS = 20
NORMAL = 24
SLOT = 24
NEVER = np.float32(-1e30)
PLAN = 6  # a record's place, first and last row in the left and the right half, number in the tile's list
NO_SPLAT = -1

# The forward buffer: for each row 16 numbers of transmittance, of four channels, of the normal, of
# distortion, and of the last splat in front of the median; then constants.
ROW = 10 * TILE
# The backward buffer: transmittance, light behind, the gradients of channels, normal and distortion, and
# 1 + final transmittance and (depth behind - depth in front) for the distortion.
ROW_BACK = 12 * TILE


@device
def _cross(a: Any, i: int, b: Any, j: int, out: Any, k: int) -> None:
    out[k] = a[i + 1] * b[j + 2] - a[i + 2] * b[j + 1]
    out[k + 1] = a[i + 2] * b[j] - a[i] * b[j + 2]
    out[k + 2] = a[i] * b[j + 1] - a[i + 1] * b[j]


@device
def _forms(ray_transforms: Any, means2d: Any, i: int, M: Any, P: Any) -> Any:
    """Fills M [9] (rows a and b about means2d) and P [9] = a × b, b × w, w × a; returns their scale, or 0."""
    x, y = np.float64(means2d[i, 0]), np.float64(means2d[i, 1])
    for k in range(3):
        w = np.float64(ray_transforms[i, 6 + k])
        M[k] = ray_transforms[i, k] - x * w
        M[3 + k] = ray_transforms[i, 3 + k] - y * w
        M[6 + k] = w
    _cross(M, 0, M, 3, P, 0)
    _cross(M, 3, M, 6, P, 3)
    _cross(M, 6, M, 0, P, 6)
    largest = 0.0
    for k in range(9):
        if not abs(P[k]) < np.inf:
            return 0.0
        largest = max(largest, abs(P[k]))
    # Where W is nothing, so is the surfel: a scale is zero.
    seen = largest > 0.0 and (P[2] != 0.0 or P[5] != 0.0 or P[8] != 0.0)
    return 1.0 / largest if seen else 0.0


@device
def _quadric(P: Any, scale: Any, i: int, j: int, reach: Any) -> Any:
    """A coefficient of U² + V² - reach W², that of forms i and j."""
    whole = P[3 * i] * P[3 * j] + P[3 * i + 1] * P[3 * j + 1] - reach * P[3 * i + 2] * P[3 * j + 2]
    return whole * scale * scale


@device
def _fill_reach(P: Any, k: Any, x: Any, y: Any, opacity: Any, r: Any) -> None:
    """The ellipse U² + V² <= reach W² and the filter's disc, in a record; ``k`` is the forms' scale."""
    reach = 2.0 * math.log(min(opacity, 1e6) * 255.0) + 1e-5
    a, b, c = _quadric(P, k, 1, 1, reach), _quadric(P, k, 1, 2, reach), _quadric(P, k, 2, 2, reach)
    g, h, f = _quadric(P, k, 0, 1, reach), _quadric(P, k, 0, 2, reach), _quadric(P, k, 0, 0, reach)
    radius = math.sqrt(0.5 * reach)
    det = a * c - b * b
    r[DISC] = radius
    if not (a > 0.0 and c > 0.0 and det > 1e-12 * a * c):  # no ellipse: asked everywhere
        r[ELLIPSE + 2], r[ELLIPSE + 5] = 1e15, 1e30
        return
    dx, dy = (b * h - c * g) / det, (b * g - a * h) / det
    level = -(f + g * dx + h * dy)
    if level > 0.0:
        r[ELLIPSE] = x + dx
        r[ELLIPSE + 1] = y + dy
        r[ELLIPSE + 2] = min(math.sqrt(level * c / det), 1e15)
        r[ELLIPSE + 3] = -b / a * math.sqrt(level * a / det)
        r[ELLIPSE + 4] = b / c
        r[ELLIPSE + 5] = min(level / c, 1e30)
        r[ELLIPSE + 6] = min(det / (c * c), 1e30)
    if f + 2.0 * radius * math.sqrt(g * g + h * h) + radius * radius * (a + c) <= 0.0:
        r[DISC] = NEVER  # the ellipse holds it


@kernel
def pack_surfels(
    means2d: Any,  # [M, 2]
    ray_transforms: Any,  # [M, 9]
    colors: Any,  # [M, D]
    opacities: Any,  # [M]
    normals: Any,  # [M, 3]
    first_channel: int,
    records: Any,  # [M * RECORD] out
    chunks: int,
) -> None:
    """Fill one record a surfel; what can never reach alpha 1/255 gets an ellipse and a disc without width."""
    count, depth = means2d.shape[0], colors.shape[1]
    for chunk in prange(chunks):
        M, P = np.empty(9), np.empty(9)
        for i in range(count * chunk // chunks, count * (chunk + 1) // chunks):
            r = records[i * RECORD : (i + 1) * RECORD]
            r[:] = 0.0
            r[ELLIPSE + 2], r[DISC] = NEVER, NEVER
            opacity, x, y = opacities[i], means2d[i, 0], means2d[i, 1]
            there = math.isfinite(opacity) and math.isfinite(x) and math.isfinite(y)
            if not (there and opacity >= ALPHA_MIN):
                continue
            scale = _forms(ray_transforms, means2d, i, M, P)
            if scale == 0.0:
                continue
            for k in range(3):
                r[k], r[3 + k] = 0.25 * scale * P[3 * k], 0.25 * scale * P[3 * k + 1]
                r[6 + k] = scale * P[3 * k + 2]
                r[NORMAL + k] = normals[i, k]
            r[MEAN], r[MEAN + 1] = x - np.float32(0.5), y - np.float32(0.5)
            r[OPACITY] = opacity
            _fill_reach(P, scale, np.float64(x) - 0.5, np.float64(y) - 0.5, np.float64(opacity), r)
            for channel in range(first_channel, min(first_channel + 4, depth)):
                r[CHANNELS + _place(channel, first_channel, depth)] = colors[i, channel]


@device
def _place(channel: int, first: int, depth: int) -> int:
    """Where a channel stands in its group: the last of all is always fourth."""
    return 3 if channel == depth - 1 else channel - first


@device
def _plan_surfels(
    records: Any,
    ids: Any,
    start: int,
    first: int,
    last: int,
    x0: int,
    y0: int,
    columns: int,
    rows: int,
    plan: Any,
) -> int:
    """Which rows each of the listed surfels covers in each half of the tile; leaves out those with none."""
    kept = 0
    for k in range(first, last):
        base = np.intp(ids[k]) * RECORD
        at = base + ELLIPSE
        gx, gy = records[at] - np.float32(x0), records[at + 1] - np.float32(y0)
        half_width, lowest = records[at + 2], records[at + 3]
        k_, e, d = records[at + 4], records[at + 5], records[at + 6]
        mx, my = records[base + MEAN] - np.float32(x0), records[base + MEAN + 1] - np.float32(y0)
        disc = records[base + DISC]
        top, bottom = max(my - disc, np.float32(0.0)), min(my + disc, np.float32(rows - 1))
        place = kept * PLAN
        plan[place] = base
        plan[place + 5] = k - start
        covered = 0
        for half in range(2):
            left, right = np.float32(8 * half), np.float32(8 * half + 7)
            begin, end = np.int32(TILE), np.int32(-1)
            if 8 * half < columns:
                low, high = left - gx, right - gx
                if low <= half_width and high >= -half_width:
                    begin, end = _rows(
                        gy, k_, e, d, _clamp(-lowest, low, high), _clamp(lowest, low, high), rows
                    )
                if left <= mx + disc and right >= mx - disc and top <= bottom:
                    begin = min(begin, np.int32(math.ceil(top)))
                    end = max(end, np.int32(math.floor(bottom)))
            plan[place + 1 + 2 * half] = begin
            plan[place + 2 + 2 * half] = end
            here: Any = max(end - begin + 1, 0)
            covered += here
        if covered > 0:
            kept += 1
    return kept


@device
def _is_opaque(buffer: Any) -> bool:
    most = splat(np.float32(0.0))
    for row in range(TILE):
        most = at_least(load(buffer, row * ROW), most)
        most = at_least(load(buffer, row * ROW + 8), most)
    return not any_lane(most >= splat(OPAQUE))


@device
def _blend_half(
    records: Any,
    base: Any,
    x0: int,
    y0: int,
    half: int,
    begin: Any,
    end: Any,
    number: Any,
    buffer: Any,
    tag: Any,
) -> None:
    """Add one surfel to rows begin to end of one half of the tile."""
    constants = TILE * ROW
    zero, eighth = splat(np.float32(0.0)), splat(np.float32(-0.125))
    dx = (lanes() + splat(np.float32(8 * half))) - splat(records[base + MEAN] - np.float32(x0))
    centre = splat(records[base + MEAN + 1] - np.float32(y0))
    u = splat(records[base + 1]) * dx + splat(records[base])
    v = splat(records[base + 4]) * dx + splat(records[base + 3])
    w = splat(records[base + 7]) * dx + splat(records[base + 6])
    u_y, v_y, w_y = splat(records[base + 2]), splat(records[base + 5]), splat(records[base + 8])
    across, opacity = eighth * dx * dx, splat(records[base + OPACITY])
    c0, c1 = splat(records[base + CHANNELS]), splat(records[base + CHANNELS + 1])
    c2, depth = splat(records[base + CHANNELS + 2]), splat(records[base + CHANNELS + 3])
    n0, n1 = splat(records[base + NORMAL]), splat(records[base + NORMAL + 1])
    n2, this = splat(records[base + NORMAL + 2]), splat(number)
    for row in range(begin, end + 1):
        cell = row * ROW + 8 * half
        dy = splat(buffer[constants + 64 + row]) - centre
        U, V, W = u_y * dy + u, v_y * dy + v, w_y * dy + w
        t = at_least((U * U + V * V) / (zero - W * W), eighth * dy * dy + across)
        alpha = at_most(opacity * _falloff(t, buffer, constants), load(buffer, constants + 48))
        seen = alpha >= load(buffer, constants + 56)
        alpha = select(seen, alpha, zero)
        before = load(buffer, cell)
        weight = alpha * before
        store(buffer, cell + TILE, weight * c0 + load(buffer, cell + TILE))
        store(buffer, cell + 2 * TILE, weight * c1 + load(buffer, cell + 2 * TILE))
        store(buffer, cell + 3 * TILE, weight * c2 + load(buffer, cell + 3 * TILE))
        nearer = load(buffer, cell + 4 * TILE)
        store(buffer, cell + 4 * TILE, weight * depth + nearer)
        if len(tag) == 0:
            store(buffer, cell + 5 * TILE, weight * n0 + load(buffer, cell + 5 * TILE))
            store(buffer, cell + 6 * TILE, weight * n1 + load(buffer, cell + 6 * TILE))
            store(buffer, cell + 7 * TILE, weight * n2 + load(buffer, cell + 7 * TILE))
            behind = depth * (load(buffer, constants + 40) - before) - nearer
            store(buffer, cell + 8 * TILE, weight * behind + load(buffer, cell + 8 * TILE))
            median = load(buffer, cell + 9 * TILE)
            median = select(load(buffer, constants + 32) < before, select(seen, this, median), median)
            store(buffer, cell + 9 * TILE, median)
        store(buffer, cell, before - weight)


@device
def _blend_tile(
    records: Any, ids: Any, first: int, last: int, x0: int, y0: int, columns: int, rows: int, plan: Any,
    buffer: Any, tag: Any,
) -> int:  # fmt: skip
    """Add the listed surfels to the tile's buffer; returns where in the list it became opaque."""
    k = first
    while k < last:
        until = min(k + BATCH, last)
        kept = _plan_surfels(records, ids, first, k, until, x0, y0, columns, rows, plan)
        for item in range(kept):
            place = item * PLAN
            base, number = np.intp(plan[place]), np.float32(plan[place + 5])
            for half in range(2):
                begin, end = np.intp(plan[place + 1 + 2 * half]), np.intp(plan[place + 2 + 2 * half])
                _blend_half(records, base, x0, y0, half, begin, end, number, buffer, tag)
        k = until
        if _is_opaque(buffer):
            break
    return k


@device
def _write_surface(
    buffer: Any, records: Any, ids: Any, start: int, image: int, x0: int, y0: int, columns: int, rows: int,
    alphas: Any, normals: Any, distortions: Any, medians: Any, median_ids: Any,
) -> None:  # fmt: skip
    """The finished tile's alphas, normals, distortion and median depth."""
    for y in range(rows):
        for x in range(columns):
            cell, to_y, to_x = y * ROW + x, y0 + y, x0 + x
            alphas[image, to_y, to_x] = np.float32(1.0) - buffer[cell]
            for k in range(3):
                normals[image, to_y, to_x, k] = buffer[cell + (5 + k) * TILE]
            distortions[image, to_y, to_x] = np.float32(2.0) * buffer[cell + 8 * TILE]
            number = np.int32(buffer[cell + 9 * TILE])
            medians[image, to_y, to_x] = 0.0
            median_ids[image, to_y, to_x] = NO_SPLAT
            if number >= 0:
                splat_id = ids[start + number]
                medians[image, to_y, to_x] = records[np.intp(splat_id) * RECORD + CHANNELS + 3]
                median_ids[image, to_y, to_x] = splat_id


@kernel
def blend_surfels(
    records: Any,  # [M * RECORD]
    ids: Any,  # [n_isects]
    starts: Any,  # [tiles + 1]
    bounds: Any,  # [chunks + 1] block numbers
    masks: Any,  # [tiles] bool, or empty
    backgrounds: Any,  # [I, D], or empty
    tile_size: int,
    first_channel: int,
    tag: Any,  # (): the last group of channels and all maps; (0,): four channels
    colors: Any,  # [I, H, W, D] out
    alphas: Any,  # [I, H, W] out, and so on
    normals: Any,  # [I, H, W, 3]
    distortions: Any,  # [I, H, W]
    medians: Any,  # [I, H, W]
    median_ids: Any,  # [I, H, W] the median's surfel, or NO_SPLAT
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
            for row in range(TILE):
                buffer[row * ROW + 9 * TILE : (row + 1) * ROW] = NO_SPLAT
            last = starts[tile + 1]
            if masks.shape[0] > 0 and not masks[tile]:
                last = starts[tile]
            stops[block] = _blend_tile(
                records, ids, starts[tile], last, x0, y0, columns, rows, plan, buffer, tag
            )
            for channel in range(first_channel, min(first_channel + 4, depth)):
                at = (1 + _place(channel, first_channel, depth)) * TILE
                behind = np.float32(0.0)
                if backgrounds.shape[0] > 0:
                    behind = backgrounds[image, channel]
                for y in range(rows):
                    for x in range(columns):
                        cell = y * ROW + x
                        colors[image, y0 + y, x0 + x, channel] = buffer[cell + at] + buffer[cell] * behind
            if len(tag) == 0:
                _write_surface(
                    buffer, records, ids, starts[tile], image, x0, y0, columns, rows, alphas, normals,
                    distortions, medians, median_ids,
                )  # fmt: skip


@device
def _open_tile_backward(
    colors: Any, alphas: Any, normals: Any, distortions: Any, backgrounds: Any, v_colors: Any, v_alphas: Any,
    v_normals: Any, v_distortions: Any, image: int, x0: int, y0: int, columns: int, rows: int,
    first_channel: int, buffer: Any, tag: Any,
) -> None:  # fmt: skip
    """Load the picture's gradient, and what all the light behind the first surfel is worth to the loss."""
    depth = colors.shape[3]
    for y in range(rows):
        for x in range(columns):
            cell, at_y, at_x = y * ROW_BACK + x, y0 + y, x0 + x
            worth = np.float32(0.0)
            for channel in range(first_channel, min(first_channel + 4, depth)):
                v = v_colors[image, at_y, at_x, channel]
                buffer[cell + (2 + _place(channel, first_channel, depth)) * TILE] = v
                worth += v * colors[image, at_y, at_x, channel]
            if len(tag) != 1:
                left = np.float32(1.0) - alphas[image, at_y, at_x]
                worth -= left * v_alphas[image, at_y, at_x]
                for k in range(3):
                    v = v_normals[image, at_y, at_x, k]
                    buffer[cell + (6 + k) * TILE] = v
                    worth += v * normals[image, at_y, at_x, k]
                # Distortion is of second degree in the weights: their derivatives are worth twice it.
                twice = np.float32(2.0) * v_distortions[image, at_y, at_x]
                buffer[cell + 9 * TILE] = twice
                worth += twice * distortions[image, at_y, at_x]
                behind = np.float32(0.0)
                if backgrounds.shape[0] > 0:
                    behind = backgrounds[image, depth - 1]
                buffer[cell + 10 * TILE] = np.float32(1.0) + left
                buffer[cell + 11 * TILE] = colors[image, at_y, at_x, depth - 1] - left * behind
            buffer[cell + TILE] = worth


@device
def _blend_surfel_backward(
    records: Any, base: Any, shades: Any, others: int, x0: int, y0: int, plan: Any, place: int,
    absolute: bool, buffer: Any, slots: Any, tag: Any,
) -> None:  # fmt: skip
    """Add one surfel's sums over one tile to its slot; see ``_blend_kernels._blend_splat_backward``."""
    constants = TILE * ROW_BACK
    zero, eighth, two = splat(np.float32(0.0)), splat(np.float32(-0.125)), splat(np.float32(2.0))
    gx, centre = records[base + MEAN] - np.float32(x0), splat(records[base + MEAN + 1] - np.float32(y0))
    u_x, v_x, w_x = splat(records[base + 1]), splat(records[base + 4]), splat(records[base + 7])
    u_y, v_y, w_y = splat(records[base + 2]), splat(records[base + 5]), splat(records[base + 8])
    opacity = splat(records[base + OPACITY])
    c0, c1 = splat(records[base + CHANNELS]), splat(records[base + CHANNELS + 1])
    c2, depth = splat(records[base + CHANNELS + 2]), splat(records[base + CHANNELS + 3])
    n0, n1 = splat(records[base + NORMAL]), splat(records[base + NORMAL + 1])
    n2 = splat(records[base + NORMAL + 2])
    s_c0, s_c1, s_c2, s_depth, s_n0, s_n1, s_n2, s = zero, zero, zero, zero, zero, zero, zero, zero
    p, px, py, pxx, pxy, pyy, q, qx = zero, zero, zero, zero, zero, zero, zero, zero
    qy, fx, fy, abs_x, abs_y = zero, zero, zero, zero, zero
    for half in range(2):
        begin, end = np.intp(plan[place + 1 + 2 * half]), np.intp(plan[place + 2 + 2 * half])
        dx = (lanes() + splat(np.float32(8 * half))) - splat(gx)
        u = u_x * dx + splat(records[base])
        v = v_x * dx + splat(records[base + 3])
        w = w_x * dx + splat(records[base + 6])
        across = eighth * dx * dx
        p0, p1, q0, f0, a0 = zero, zero, zero, zero, zero
        for row in range(begin, end + 1):
            cell = row * ROW_BACK + 8 * half
            dy = splat(buffer[constants + 64 + row]) - centre
            U, V, W = u_y * dy + u, v_y * dy + v, w_y * dy + w
            inverse = load(buffer, constants + 40) / (zero - W * W)
            filtered, itself = eighth * dy * dy + across, (U * U + V * V) * inverse
            t = at_least(itself, filtered)
            unclamped = opacity * _falloff(t, buffer, constants)
            alpha = at_most(unclamped, load(buffer, constants + 48))
            alpha = select(alpha >= load(buffer, constants + 56), alpha, zero)
            before = load(buffer, cell)
            weight = alpha * before
            v_c0, v_c1 = load(buffer, cell + 2 * TILE), load(buffer, cell + 3 * TILE)
            v_c2, v_depth = load(buffer, cell + 4 * TILE), load(buffer, cell + 5 * TILE)
            s_c0 = weight * v_c0 + s_c0
            s_c1 = weight * v_c1 + s_c1
            s_c2 = weight * v_c2 + s_c2
            worth = (v_c0 * c0 + v_c1 * c1) + v_c2 * c2
            if len(tag) != 1:
                v_n0, v_n1 = load(buffer, cell + 6 * TILE), load(buffer, cell + 7 * TILE)
                v_n2, twice = load(buffer, cell + 8 * TILE), load(buffer, cell + 9 * TILE)
                s_n0 = weight * v_n0 + s_n0
                s_n1 = weight * v_n1 + s_n1
                s_n2 = weight * v_n2 + s_n2
                worth = worth + ((v_n0 * n0 + v_n1 * n1) + v_n2 * n2)
                # Weight in front less weight from here on, and depth behind less depth in front.
                ahead = load(buffer, cell + 10 * TILE) - two * before
                further = load(buffer, cell + 11 * TILE)
                worth = twice * (depth * ahead + further) + worth
                store(buffer, cell + 11 * TILE, further - two * (weight * depth))
                s_depth = weight * (twice * (ahead + weight)) + s_depth
            worth = v_depth * depth + worth
            if len(tag) == 2:
                at = constants + CONSTANTS + row * TILE + 8 * half
                worth = _add_others(worth, shades, base // RECORD, 0, others, buffer, at)
            s_depth = weight * v_depth + s_depth
            rest = load(buffer, cell + TILE) - weight * worth
            store(buffer, cell + TILE, rest)
            store(buffer, cell, before - weight)
            v_alpha = before * worth - rest / (load(buffer, constants + 40) - alpha)
            value = select(unclamped < load(buffer, constants + 48), v_alpha * alpha, zero)
            s = s + value
            met = itself >= filtered
            p_ = select(met, value * inverse, zero)
            f_ = select(met, zero, value)
            q_ = p_ * (t * W)
            p_y, f_y = p_ * dy, f_ * dy
            p0 = p0 + p_
            p1 = p1 + p_y
            pyy = p_y * dy + pyy
            q0 = q0 + q_
            qy = q_ * dy + qy
            f0 = f0 + f_
            fy = fy + f_y
            if absolute:
                a0 = a0 + magnitude(f_)
                abs_y = abs_y + magnitude(f_y)
        p_x = p0 * dx
        p = p + p0
        px = px + p_x
        py = py + p1
        pxx = p_x * dx + pxx
        pxy = p1 * dx + pxy
        q = q + q0
        qx = q0 * dx + qx
        fx = f0 * dx + fx
        abs_x = a0 * magnitude(dx) + abs_x
    slot = (base // RECORD) * SLOT
    sums = totals(s_c0, s_c1, s_c2, s_depth, s_n0, s_n1, s_n2, s)
    store(slots, slot, load(slots, slot) + sums)
    sums = totals(p, px, py, pxx, pxy, pyy, q, qx)
    store(slots, slot + 8, load(slots, slot + 8) + sums)
    sums = totals(qy, fx, fy, abs_x, abs_y, zero, zero, zero)
    store(slots, slot + 16, load(slots, slot + 16) + sums)


@kernel
def blend_surfels_backward(
    records: Any,  # [M * RECORD]
    ids: Any,  # [n_isects]
    starts: Any,  # [tiles + 1]
    stops: Any,  # [blocks]
    bounds: Any,  # [chunks + 1] block numbers
    backgrounds: Any,  # [I, D], or empty
    tile_size: int,
    first_channel: int,
    tag: Any,  # as in ``blend_surfels``; (0, 0): the last group, all maps, and the worth of all channels
    absolute: bool,
    shades: Any,  # [M, D] the surfels' colours
    colors: Any,  # [I, H, W, D] the picture, background included
    alphas: Any,  # [I, H, W]
    normals: Any,  # [I, H, W, 3]
    distortions: Any,  # [I, H, W]
    median_ids: Any,  # [I, H, W]
    v_colors: Any,  # [I, H, W, D], and so on
    v_alphas: Any,
    v_normals: Any,
    v_distortions: Any,
    v_medians: Any,
    slots: Any,  # [chunks, M * SLOT] out, zeroed here
) -> None:
    """Sums for one group of channels: one buffer a chunk, so that no two threads add to one number."""
    _, height, width, _ = colors.shape
    others = first_channel if len(tag) == 2 else 0
    for chunk in prange(bounds.shape[0] - 1):
        own = slots[chunk]
        own[:] = 0.0
        buffer = np.zeros(TILE * ROW_BACK + CONSTANTS + others * PLANE, np.float32)
        plan = np.empty(BATCH * PLAN, np.int32)
        _fill_constants(buffer, TILE * ROW_BACK)
        for block in range(bounds[chunk], bounds[chunk + 1]):
            tile, image, x0, y0, columns, rows = _block(block, tile_size, width, height)
            start, stop = starts[tile], stops[block]
            if stop == start:
                continue
            buffer[: TILE * ROW_BACK] = 0.0
            _open_tile(buffer, ROW_BACK, columns, rows)
            _open_tile_backward(
                colors, alphas, normals, distortions, backgrounds, v_colors, v_alphas, v_normals,
                v_distortions, image, x0, y0, columns, rows, first_channel, buffer, tag,
            )  # fmt: skip
            if len(tag) == 2:
                _open_others(
                    colors, v_colors, image, x0, y0, columns, rows, 0, others, ROW_BACK, buffer,
                    TILE * ROW_BACK + CONSTANTS,
                )  # fmt: skip
            for k in range(start, stop, BATCH):
                until = min(k + BATCH, stop)
                kept = _plan_surfels(records, ids, start, k, until, x0, y0, columns, rows, plan)
                for item in range(kept):
                    at = item * PLAN
                    base = np.intp(plan[at])
                    _blend_surfel_backward(
                        records, base, shades, others, x0, y0, plan, at, absolute, buffer, own, tag
                    )
            if len(tag) != 1:  # the median is one surfel's depth
                for y in range(y0, y0 + rows):
                    for x in range(x0, x0 + columns):
                        if median_ids[image, y, x] != NO_SPLAT:
                            own[np.intp(median_ids[image, y, x]) * SLOT + 3] += v_medians[image, y, x]


@device
def _forms_backward(M: Any, sums: Any, P: Any, scale: Any, v_P: Any, v_M: Any, x: Any, y: Any) -> None:
    """Gradients of the forms, then of M's rows (those given, not those about means2d), from a slot's sums."""
    S = sums[8:]
    for k in range(2):
        u0, ux, uy = P[k], P[3 + k], P[6 + k]
        v_P[k] = u0 * S[0] + ux * S[1] + uy * S[2]
        v_P[3 + k] = u0 * S[1] + ux * S[3] + uy * S[4]
        v_P[6 + k] = u0 * S[2] + ux * S[4] + uy * S[5]
        for j in range(3):
            v_P[3 * j + k] *= scale * scale
    for j in range(3):
        v_P[3 * j + 2] = 16.0 * scale * S[6 + j]
    # P = a × b, b × w, w × a
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        a = M[3 + i] * v_P[j] - M[3 + j] * v_P[i] + v_P[6 + i] * M[6 + j] - v_P[6 + j] * M[6 + i]
        b = v_P[i] * M[j] - v_P[j] * M[i] + M[6 + i] * v_P[3 + j] - M[6 + j] * v_P[3 + i]
        w = v_P[3 + i] * M[3 + j] - v_P[3 + j] * M[3 + i] + M[i] * v_P[6 + j] - M[j] * v_P[6 + i]
        v_M[k], v_M[3 + k], v_M[6 + k] = a, b, w - x * a - y * b


@kernel
def gather_surfels(
    slots: Any,  # [chunks, M * SLOT]
    means2d: Any,  # [M, 2]
    ray_transforms: Any,  # [M, 9]
    opacities: Any,  # [M]
    first_channel: int,
    v_means2d: Any,  # [M, 2] added to
    v_ray_transforms: Any,  # [M, 9] added to
    v_colors: Any,  # [M, D] set
    v_opacities: Any,  # [M] added to
    v_normals: Any,  # [M, 3] added to
    v_absolute: Any,  # [M, 2] set, or empty
) -> None:
    """Sum the chunks' buffers in their order and turn the sums into gradients.

    All but the colours' gradients are sums over groups of channels; with absolute gradients the last alone
    has them all.
    """
    parts, count, depth = slots.shape[0], v_means2d.shape[0], v_colors.shape[1]
    for chunk in prange(parts):
        sums, M, P, v_P, v_M = np.empty(SLOT), np.empty(9), np.empty(9), np.empty(9), np.empty(9)
        for i in range(count * chunk // parts, count * (chunk + 1) // parts):
            for j in range(SLOT):
                sums[j] = slots[0, i * SLOT + j]
            for part in range(1, parts):
                for j in range(SLOT):
                    sums[j] += slots[part, i * SLOT + j]
            for channel in range(first_channel, min(first_channel + 4, depth)):
                v_colors[i, channel] = sums[_place(channel, first_channel, depth)]
            if not opacities[i] >= ALPHA_MIN or (v_absolute.shape[0] > 0 and first_channel + 4 < depth):
                continue
            v_opacities[i] += sums[7] / opacities[i]
            for k in range(3):
                v_normals[i, k] += sums[4 + k]
            v_means2d[i, 0] += 2.0 * sums[17]
            v_means2d[i, 1] += 2.0 * sums[18]
            if v_absolute.shape[0] > 0:
                v_absolute[i, 0] = 2.0 * sums[19]
                v_absolute[i, 1] = 2.0 * sums[20]
            scale = _forms(ray_transforms, means2d, i, M, P)
            if scale == 0.0:
                continue
            x, y = np.float64(means2d[i, 0]), np.float64(means2d[i, 1])
            _forms_backward(M, sums, P, scale, v_P, v_M, x, y)
            for k in range(9):
                v_ray_transforms[i, k] += v_M[k]
