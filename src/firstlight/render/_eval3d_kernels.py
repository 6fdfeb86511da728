"""Blending kernels that meet Gaussians in space: each pixel's ray, where the Gaussian is strongest along it.

A ray o + t d meets a Gaussian of centre μ and precision B = R diag(s)⁻² Rᵀ at the squared distance
D² = xᵀ P x / dᵀ B d, in standard deviations, with x = d × (o - μ) and P = Σ / det Σ (of B, the adjugate);
alpha is opacity · exp(-½ D²). Both forms are held as roots, P ∝ FᵀF and B ∝ GᵀG with triangular F and G, so
that needles survive in single precision.

They are written in the splat's own axes: the first points from the camera to the splat. Rays near the splat
then have small second and third components, and x next to no first one: none at all without a rolling
shutter, when all rays begin at one point. A rolling shutter's rays begin at o + δ, and cost twice as much.

Tiles, their buffers and the order of work are those of ``_blend_kernels``; whole half-rows that the splat
does not reach are left after D².

Record: the axes (9); o - μ along the first; F and G (6 each: the diagonal's first with what stands right of
it, and so on; F's order of axes is second, third, first); opacity; the largest D²; four channels.
Slot (sums over pixels, with v = alpha dL/dalpha and e = v / dᵀ B d): four channels, v, e (P x) × d (3),
e x xᵀ (three: second and third axes), e D² d dᵀ (6); with a rolling shutter two more e x xᵀ with the first
axis, and its square.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._blend_kernels import (
    ALPHA_MIN,
    BATCH,
    CONSTANTS,
    ROW,
    ROW_BACK,
    TILE,
    _block,
    _falloff,
    _fill_constants,
    _is_opaque,
    _open_tile,
    _open_tile_backward,
)
from firstlight.render._jit import device, kernel
from firstlight.render._projection_kernels import _rotation, _rotation_backward, _unit_quat
from firstlight.render._simd import (
    any_lane,
    at_least,
    at_most,
    load,
    select,
    splat,
    store,
    total,
    totals,
)

RECORD = 32
FIRST, SECOND = 10, 16  # where F and G begin
OPACITY, REACH, CHANNELS = 22, 23, 24
SLOT, SLOT_MOVING = 17, 20
TINY = np.float32(1e-30)


@device
def _axes(towards: Any, U: Any) -> Any:
    """Fills U [9] with orthonormal rows, the first along ``towards`` [3]; returns its length."""
    x, y, z = towards[0], towards[1], towards[2]
    length = math.sqrt(x * x + y * y + z * z)
    i = 1.0 / length if length > 0.0 else 0.0
    x, y, z = x * i, y * i, z * i if length > 0.0 else 1.0
    # Duff et al. 2017, "Building an orthonormal basis, revisited"
    sign = 1.0 if z >= 0.0 else -1.0
    a = -1.0 / (sign + z)
    b = x * y * a
    U[0], U[1], U[2] = x, y, z
    U[3], U[4], U[5] = 1.0 + sign * x * x * a, sign * b, -sign * x
    U[6], U[7], U[8] = b, sign + y * y * a, -y
    return length


@device
def _shape(
    means: Any, quats: Any, scales: Any, n: int, center: Any, towards: Any, U: Any, R: Any, Q: Any
) -> Any:
    """Fills U [9] (axes), R [9] and Q = U R [9]; returns the distance and the unit quaternion's numbers."""
    for k in range(3):
        towards[k] = means[n, k] - center[k]
    length = _axes(towards, U)
    w, x, y, z, inverse = _unit_quat(quats, n)
    _rotation(w, x, y, z, R)
    for i in range(3):
        for k in range(3):
            Q[3 * i + k] = U[3 * i] * R[k] + U[3 * i + 1] * R[3 + k] + U[3 * i + 2] * R[6 + k]
    return length, w, x, y, z, inverse


@device
def _forms(scales: Any, n: int, p: Any, b: Any) -> Any:
    """Eigenvalues of P and B, times the square of the smallest scale; returns that square."""
    s0, s1, s2 = abs(np.float64(scales[n, 0])), abs(np.float64(scales[n, 1])), abs(np.float64(scales[n, 2]))
    least = min(s0, min(s1, s2))
    i0, i1, i2 = least / s0, least / s1, least / s2
    b[0], b[1], b[2] = i0 * i0, i1 * i1, i2 * i2
    p[0], p[1], p[2] = (i1 / s2) ** 2, (i0 / s2) ** 2, (i0 / s1) ** 2
    return least * least


@device
def _root(Q: Any, weights: Any, i: int, j: int, k: int, out: Any, at: int) -> None:
    """The triangular root of Q diag(weights) Qᵀ with its axes in the order i, j, k (Cholesky)."""
    ii, ij, ik, jj, jk, kk = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for m in range(3):
        a, b, c, weight = Q[3 * i + m], Q[3 * j + m], Q[3 * k + m], weights[m]
        ii += weight * a * a
        ij += weight * a * b
        ik += weight * a * c
        jj += weight * b * b
        jk += weight * b * c
        kk += weight * c * c
    r0 = math.sqrt(ii)
    r1, r3 = ij / r0, ik / r0
    r2 = math.sqrt(max(jj - r1 * r1, 1e-16 * jj))
    r4 = (jk - r1 * r3) / r2
    out[at], out[at + 1], out[at + 2] = r0, r1, r3
    out[at + 3], out[at + 4] = r2, r4
    out[at + 5] = math.sqrt(max(kk - r3 * r3 - r4 * r4, 0.0))


@kernel
def pack_records(
    means: Any,  # [B * N, 3]
    quats: Any,  # [B * N, 4]
    scales: Any,  # [B * N, 3]
    colors: Any,  # [B * C * N, D]
    opacities: Any,  # [B * C * N]
    centers: Any,  # [B * C, 3]
    count: int,  # N
    cameras: int,  # C
    listed: Any,  # [B * C * N] bool: which rows any tile lists
    first_channel: int,
    records: Any,  # [B * C * N * RECORD] out
    chunks: int,
) -> None:
    """Fill one record a splat and camera; what has no shape or no opacity reaches nothing."""
    total_rows, channels = opacities.shape[0], min(4, colors.shape[1] - first_channel)
    for chunk in prange(chunks):
        towards, U, R, Q, p, b = np.empty(3), np.empty(9), np.empty(9), np.empty(9), np.empty(3), np.empty(3)
        roots = np.empty(12)
        for row in range(total_rows * chunk // chunks, total_rows * (chunk + 1) // chunks):
            if not listed[row]:
                continue
            image = row // count
            n = image // cameras * count + row % count
            r = records[row * RECORD : (row + 1) * RECORD]
            r[:] = 0.0
            r[REACH] = -1.0
            opacity = opacities[row]
            if not (opacity >= ALPHA_MIN and opacity < np.inf) or not _has_scales(scales, n):
                continue
            length, _, _, _, _, _ = _shape(means, quats, scales, n, centers[image], towards, U, R, Q)
            _forms(scales, n, p, b)
            _root(Q, p, 1, 2, 0, roots, 0)
            _root(Q, b, 0, 1, 2, roots, 6)
            size = length
            for i in range(12):
                size += abs(roots[i])
            if not size < 1e9:  # float32 has room for its fourth power; NaN comes here too
                continue
            for i in range(9):
                r[i] = U[i]
            r[9] = -length
            for i in range(12):
                r[FIRST + i] = roots[i]
            r[OPACITY] = opacity
            r[REACH] = 2.0 * math.log(min(np.float64(opacity), 1e6) * 255.0) + 1e-5
            for channel in range(channels):
                r[CHANNELS + channel] = colors[row, first_channel + channel]


@device
def _has_scales(scales: Any, n: int) -> Any:
    return abs(scales[n, 0]) > 0.0 and abs(scales[n, 1]) > 0.0 and abs(scales[n, 2]) > 0.0


@device
def _turn(records: Any, base: Any, axis: int, x: Any, y: Any, z: Any) -> Any:
    """One component of a vector in the splat's axes."""
    a, b = splat(records[base + 3 * axis]), splat(records[base + 3 * axis + 1])
    return a * x + (b * y + splat(records[base + 3 * axis + 2]) * z)


@device
def _meet(records: Any, base: Any, rays: Any, at: Any, pitch: Any, moving: Any) -> Any:
    """Of eight pixels: d and x in the splat's axes, F x, xᵀ P x and dᵀ B d.

    The last is 0 where there is no ray, or where it is strongest behind the camera.
    """
    f, g, zero = base + FIRST, base + SECOND, splat(np.float32(0.0))
    wx, wy, wz = load(rays, at), load(rays, at + pitch), load(rays, at + 2 * pitch)
    d0, d1 = _turn(records, base, 0, wx, wy, wz), _turn(records, base, 1, wx, wy, wz)
    d2 = _turn(records, base, 2, wx, wy, wz)
    a0 = splat(records[g]) * d0 + (splat(records[g + 1]) * d1 + splat(records[g + 2]) * d2)
    a1 = splat(records[g + 3]) * d1 + splat(records[g + 4]) * d2
    a2 = splat(records[g + 5]) * d2
    below = a0 * a0 + (a1 * a1 + a2 * a2)
    o0 = splat(records[base + 9])
    if len(moving) == 0:  # o - μ has one component, and so has its product with G
        x1, x2 = d2 * o0, zero - d1 * o0
        n1, n2 = splat(records[f]) * x1 + splat(records[f + 1]) * x2, splat(records[f + 3]) * x2
        return d0, d1, d2, zero, x1, x2, n1, n2, zero, n1 * n1 + n2 * n2, select(zero < a0, below, zero)
    wx, wy, wz = load(rays, at + 3 * pitch), load(rays, at + 4 * pitch), load(rays, at + 5 * pitch)
    o0 = o0 + _turn(records, base, 0, wx, wy, wz)
    o1, o2 = _turn(records, base, 1, wx, wy, wz), _turn(records, base, 2, wx, wy, wz)
    x0, x1, x2 = d1 * o2 - d2 * o1, d2 * o0 - d0 * o2, d0 * o1 - d1 * o0
    n1 = splat(records[f]) * x1 + (splat(records[f + 1]) * x2 + splat(records[f + 2]) * x0)
    n2 = splat(records[f + 3]) * x2 + splat(records[f + 4]) * x0
    n3 = splat(records[f + 5]) * x0
    back = a0 * (splat(records[g]) * o0 + (splat(records[g + 1]) * o1 + splat(records[g + 2]) * o2))
    back = a1 * (splat(records[g + 3]) * o1 + splat(records[g + 4]) * o2) + back
    back = a2 * (splat(records[g + 5]) * o2) + back
    above = n1 * n1 + (n2 * n2 + n3 * n3)
    return d0, d1, d2, x0, x1, x2, n1, n2, n3, above, select(back < zero, below, zero)


@device
def _blend_splat(
    records: Any,
    base: Any,
    rays: Any,
    at: Any,
    pitch: Any,
    columns: int,
    rows: int,
    buffer: Any,
    moving: Any,
) -> None:
    """Add one splat to a tile whose rays begin at ``at``."""
    constants, zero = TILE * ROW, splat(np.float32(0.0))
    opacity, reach = splat(records[base + OPACITY]), splat(records[base + REACH])
    red, green = splat(records[base + CHANNELS]), splat(records[base + CHANNELS + 1])
    blue, fourth = splat(records[base + CHANNELS + 2]), splat(records[base + CHANNELS + 3])
    line = np.intp(3 if len(moving) == 0 else 6) * pitch
    for row in range(rows):
        for half in range(0, columns, 8):
            _, _, _, _, _, _, _, _, _, above, below = _meet(
                records, base, rays, at + row * line + half, pitch, moving
            )
            met = above < reach * below
            if not any_lane(met):
                continue
            cell = row * ROW + half
            t = above / (at_least(below, splat(TINY)) * splat(np.float32(-16.0)))
            alpha = at_most(opacity * _falloff(t, buffer, constants), load(buffer, constants + 48))
            alpha = select(met, select(alpha >= load(buffer, constants + 56), alpha, zero), zero)
            before = load(buffer, cell)
            weight = alpha * before
            store(buffer, cell + TILE, weight * red + load(buffer, cell + TILE))
            store(buffer, cell + 2 * TILE, weight * green + load(buffer, cell + 2 * TILE))
            store(buffer, cell + 3 * TILE, weight * blue + load(buffer, cell + 3 * TILE))
            store(buffer, cell + 4 * TILE, weight * fourth + load(buffer, cell + 4 * TILE))
            store(buffer, cell, before - weight)


@kernel
def eval3d_forward(
    records: Any,  # [M * RECORD]
    rays: Any,  # [I * H * (3 or 6) * pitch]
    pitch: int,
    ids: Any,  # [n_isects]
    starts: Any,  # [tiles + 1]
    bounds: Any,  # [chunks + 1] block numbers
    masks: Any,  # [tiles] bool, or empty
    backgrounds: Any,  # [I, D], or empty
    tile_size: int,
    first_channel: int,
    moving: Any,  # a tuple: empty where all rays begin at one point
    colors: Any,  # [I, H, W, D] out
    alphas: Any,  # [I, H, W] out
    stops: Any,  # [blocks] out: where each became opaque
) -> None:
    """Blend every tile; chunks own disjoint tiles, so the result does not depend on the threads."""
    _, height, width, depth = colors.shape
    line = np.intp(3 if len(moving) == 0 else 6) * pitch
    for chunk in prange(bounds.shape[0] - 1):
        buffer = np.zeros(TILE * ROW + CONSTANTS, np.float32)
        _fill_constants(buffer, TILE * ROW)
        for block in range(bounds[chunk], bounds[chunk + 1]):
            tile, image, x0, y0, columns, rows = _block(block, tile_size, width, height)
            at = (np.intp(image) * height + y0) * line + x0
            buffer[: TILE * ROW] = 0.0
            _open_tile(buffer, ROW, columns, rows)
            last = starts[tile + 1]
            if masks.shape[0] > 0 and not masks[tile]:
                last = starts[tile]
            k = starts[tile]
            while k < last:
                until = min(k + BATCH, last)
                for item in range(k, until):
                    base = np.intp(ids[item]) * RECORD
                    if records[base + REACH] > 0.0:
                        _blend_splat(records, base, rays, at, pitch, columns, rows, buffer, moving)
                k = until
                if _is_opaque(buffer):
                    break
            stops[block] = k
            for channel in range(min(4, depth - first_channel)):
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
def _blend_splat_backward(
    records: Any,
    base: Any,
    rays: Any,
    at: Any,
    pitch: Any,
    columns: int,
    rows: int,
    buffer: Any,
    slots: Any,
    moving: Any,
) -> None:
    """Add one splat's sums over one tile to its slot; see ``_blend_kernels`` for ``rest``."""
    constants, zero = TILE * ROW_BACK, splat(np.float32(0.0))
    f = base + FIRST
    opacity, reach = splat(records[base + OPACITY]), splat(records[base + REACH])
    red, green = splat(records[base + CHANNELS]), splat(records[base + CHANNELS + 1])
    blue, fourth = splat(records[base + CHANNELS + 2]), splat(records[base + CHANNELS + 3])
    v_red, v_green, v_blue, v_fourth, s = zero, zero, zero, zero, zero
    m0, m1, m2, xx11, xx12, xx22, xx00, xx01, xx02 = zero, zero, zero, zero, zero, zero, zero, zero, zero
    dd00, dd01, dd02, dd11, dd12, dd22 = zero, zero, zero, zero, zero, zero
    line = np.intp(3 if len(moving) == 0 else 6) * pitch
    for row in range(rows):
        for half in range(0, columns, 8):
            d0, d1, d2, x0, x1, x2, n1, n2, n3, above, below = _meet(
                records, base, rays, at + row * line + half, pitch, moving
            )
            met = above < reach * below
            if not any_lane(met):
                continue
            cell = row * ROW_BACK + half
            over = load(buffer, constants + 40) / at_least(below, splat(TINY))
            squared = select(met, above * over, zero)
            unclamped = opacity * _falloff(squared * splat(np.float32(-1.0 / 16.0)), buffer, constants)
            alpha = at_most(unclamped, load(buffer, constants + 48))
            alpha = select(met, select(alpha >= load(buffer, constants + 56), alpha, zero), zero)
            before = load(buffer, cell)
            weight = alpha * before
            q0, q1 = load(buffer, cell + 2 * TILE), load(buffer, cell + 3 * TILE)
            q2, q3 = load(buffer, cell + 4 * TILE), load(buffer, cell + 5 * TILE)
            worth = (q0 * red + q1 * green) + (q2 * blue + q3 * fourth)
            v_red = weight * q0 + v_red
            v_green = weight * q1 + v_green
            v_blue = weight * q2 + v_blue
            v_fourth = weight * q3 + v_fourth
            rest = load(buffer, cell + TILE) - weight * worth
            store(buffer, cell + TILE, rest)
            store(buffer, cell, before - weight)
            v_alpha = before * worth - rest / (load(buffer, constants + 40) - alpha)
            v = select(unclamped < load(buffer, constants + 48), v_alpha * alpha, zero)
            e = v * over
            y1 = splat(records[f]) * n1
            y2 = splat(records[f + 1]) * n1 + splat(records[f + 3]) * n2
            y0 = splat(records[f + 2]) * n1 + splat(records[f + 4]) * n2
            if len(moving) > 0:
                y0 = y0 + splat(records[f + 5]) * n3
            s = s + v
            m0 = m0 + e * (y1 * d2 - y2 * d1)
            m1 = m1 + e * (y2 * d0 - y0 * d2)
            m2 = m2 + e * (y0 * d1 - y1 * d0)
            ex1, ex2 = e * x1, e * x2
            xx11 = ex1 * x1 + xx11
            xx12 = ex1 * x2 + xx12
            xx22 = ex2 * x2 + xx22
            if len(moving) > 0:
                xx00 = e * x0 * x0 + xx00
                xx01 = ex1 * x0 + xx01
                xx02 = ex2 * x0 + xx02
            e = e * squared
            ed0, ed1 = e * d0, e * d1
            dd00 = ed0 * d0 + dd00
            dd01 = ed0 * d1 + dd01
            dd02 = ed0 * d2 + dd02
            dd11 = ed1 * d1 + dd11
            dd12 = ed1 * d2 + dd12
            dd22 = e * d2 * d2 + dd22
    slot = (base // RECORD) * (SLOT if len(moving) == 0 else SLOT_MOVING)
    sums = totals(v_red, v_green, v_blue, v_fourth, s, m0, m1, m2)
    store(slots, slot, load(slots, slot) + sums)
    sums = totals(xx11, xx12, xx22, dd00, dd01, dd02, dd11, dd12)
    store(slots, slot + 8, load(slots, slot + 8) + sums)
    slots[slot + 16] += total(dd22)
    if len(moving) > 0:
        slots[slot + 17] += total(xx00)
        slots[slot + 18] += total(xx01)
        slots[slot + 19] += total(xx02)


@kernel
def eval3d_backward(
    records: Any,  # [M * RECORD]
    rays: Any,  # [I * H * (3 or 6) * pitch]
    pitch: int,
    ids: Any,  # [n_isects]
    starts: Any,  # [tiles + 1]
    stops: Any,  # [blocks]
    bounds: Any,  # [chunks + 1] block numbers
    tile_size: int,
    first_channel: int,
    moving: Any,
    colors: Any,  # [I, H, W, D] the picture, background included
    alphas: Any,  # [I, H, W]
    v_colors: Any,  # [I, H, W, D]
    v_alphas: Any,  # [I, H, W]
    slots: Any,  # [chunks, M * slot] out, zeroed here
) -> None:
    """Sums for one group of channels: one buffer a chunk, so that no two threads add to one number."""
    _, height, width, _ = colors.shape
    line = np.intp(3 if len(moving) == 0 else 6) * pitch
    for chunk in prange(bounds.shape[0] - 1):
        own = slots[chunk]
        own[:] = 0.0
        buffer = np.zeros(TILE * ROW_BACK + CONSTANTS, np.float32)
        _fill_constants(buffer, TILE * ROW_BACK)
        for block in range(bounds[chunk], bounds[chunk + 1]):
            tile, image, x0, y0, columns, rows = _block(block, tile_size, width, height)
            if stops[block] == starts[tile]:
                continue
            at = (np.intp(image) * height + y0) * line + x0
            buffer[: TILE * ROW_BACK] = 0.0
            _open_tile(buffer, ROW_BACK, columns, rows)
            _open_tile_backward(
                colors, alphas, v_colors, v_alphas, image, x0, y0, columns, rows, first_channel, buffer
            )
            for item in range(starts[tile], stops[block]):
                base = np.intp(ids[item]) * RECORD
                if records[base + REACH] > 0.0:
                    _blend_splat_backward(records, base, rays, at, pitch, columns, rows, buffer, own, moving)


@device
def _symmetric(
    sums: Any, ii: int, ij: int, ik: int, jj: int, jk: int, kk: int, factor: Any, out: Any
) -> None:
    """A symmetric matrix [9] from six of the sums; a negative number stands for a sum that is nothing."""
    places = (ii, ij, ik, ij, jj, jk, ik, jk, kk)
    for i in range(9):
        out[i] = factor * sums[places[i]] if places[i] >= 0 else 0.0


@device
def _pull(form: Any, Q: Any, weights: Any, v_Q: Any, v_weights: Any) -> None:
    """Gradient of Q diag(weights) Qᵀ → that of Q (added) and of the weights."""
    for m in range(3):
        v_weights[m] = 0.0
        for i in range(3):
            along = form[3 * i] * Q[m] + form[3 * i + 1] * Q[3 + m] + form[3 * i + 2] * Q[6 + m]
            v_weights[m] += Q[3 * i + m] * along
            v_Q[3 * i + m] += 2.0 * weights[m] * along


@kernel
def gather_slots(
    slots: Any,  # [chunks, M * slot]
    means: Any,  # [B * N, 3]
    quats: Any,  # [B * N, 4]
    scales: Any,  # [B * N, 3]
    opacities: Any,  # [B * C * N]
    centers: Any,  # [B * C, 3]
    records: Any,  # [M * RECORD]
    listed: Any,  # [B * C * N] bool
    count: int,  # N
    cameras: int,  # C
    first_channel: int,
    moving: Any,
    v_means: Any,  # [B * N, 3] added to
    v_quats: Any,  # [B * N, 4] added to
    v_scales: Any,  # [B * N, 3] added to
    v_colors: Any,  # [B * C * N, D] set
    v_opacities: Any,  # [B * C * N] added to
) -> None:
    """Sum the chunks' buffers in their order, turn the sums into gradients, and sum those over cameras."""
    parts, channels = slots.shape[0], min(4, v_colors.shape[1] - first_channel)
    size, gaussians = SLOT if len(moving) == 0 else SLOT_MOVING, means.shape[0]
    for chunk in prange(parts):
        sums = np.empty(size)
        towards, U, R, Q, p, b = np.empty(3), np.empty(9), np.empty(9), np.empty(9), np.empty(3), np.empty(3)
        v_P, v_B, v_Q, v_R, v_p, v_b = (
            np.empty(9),
            np.empty(9),
            np.empty(9),
            np.empty(9),
            np.empty(3),
            np.empty(3),
        )
        for n in range(gaussians * chunk // parts, gaussians * (chunk + 1) // parts):
            batch = n // count
            for camera in range(cameras):
                image = batch * cameras + camera
                row = image * count + n - batch * count
                if not listed[row] or not records[row * RECORD + REACH] > 0.0:
                    continue
                for j in range(size):
                    sums[j] = slots[0, row * size + j]
                for part in range(1, parts):
                    for j in range(size):
                        sums[j] += slots[part, row * size + j]
                for channel in range(channels):
                    v_colors[row, first_channel + channel] = sums[channel]
                v_opacities[row] += sums[4] / opacities[row]
                _, w, x, y, z, inverse = _shape(means, quats, scales, n, centers[image], towards, U, R, Q)
                _forms(scales, n, p, b)
                # dL/dx = -e P x, so that of o - μ is that × d: with its sign, what μ gains.
                for k in range(3):
                    v_means[n, k] += U[k] * sums[5] + U[3 + k] * sums[6] + U[6 + k] * sums[7]
                if len(moving) == 0:
                    _symmetric(sums, -1, -1, -1, 8, 9, 10, -0.5, v_P)
                else:
                    _symmetric(sums, 17, 18, 19, 8, 9, 10, -0.5, v_P)
                _symmetric(sums, 11, 12, 13, 14, 15, 16, 0.5, v_B)
                v_Q[:] = 0.0
                _pull(v_P, Q, p, v_Q, v_p)
                _pull(v_B, Q, b, v_Q, v_b)
                # The forms' common factor does not change their ratio: p_i ∝ 1 / (s_j s_k)², b_i ∝ 1 / s_i².
                for k in range(3):
                    others = v_p[0] * p[0] + v_p[1] * p[1] + v_p[2] * p[2] - v_p[k] * p[k]
                    v_scales[n, k] -= 2.0 * (v_b[k] * b[k] + others) / scales[n, k]
                for i in range(3):
                    for k in range(3):
                        v_R[3 * i + k] = U[i] * v_Q[k] + U[3 + i] * v_Q[3 + k] + U[6 + i] * v_Q[6 + k]
                gw, gx, gy, gz = _rotation_backward(w, x, y, z, v_R)
                along = w * gw + x * gx + y * gy + z * gz
                v_quats[n, 0] += inverse * (gw - along * w)
                v_quats[n, 1] += inverse * (gx - along * x)
                v_quats[n, 2] += inverse * (gy - along * y)
                v_quats[n, 3] += inverse * (gz - along * z)
