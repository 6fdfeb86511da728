"""Surfel projection kernels: one surfel and camera at a time, in double precision inside.

A surfel's point at (u, v) standard deviations is c₀ u + c₁ v + p in camera axes: c₀ and c₁ are its scaled
tangents, p is its centre. Its ray transform M = K [c₀ c₁ p] takes (u, v, 1) to homogeneous pixels (Huang et
al. 2024, eq. 9). Where the ellipse of one standard deviation ends in x and y follows from M's rows a, b, w:
with <a, b> = a₀b₀ + a₁b₁ - a₂b₂ its box has the middle <a, w> / <w, w>, and half its width, squared, is
that, squared, less <a, a> / <w, w>. Rows a and b are taken relative to the projected centre, where a₂ and b₂
vanish and nothing cancels.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._jit import device, kernel
from firstlight.render._packing import rows_between
from firstlight.render._projection_kernels import (
    HUGE,
    REACH,
    _add_camera,
    _rotation,
    _rotation_backward,
    _to_camera,
    _unit_quat,
)
from firstlight.render._projection_lenses import CAMERA, read_camera

LEAST = 1e-4  # px²: no extent, squared, is smaller


@device
def _fill_axes(cam: Any, quats: Any, scales: Any, n: int, R: Any, Q: Any, M: Any) -> Any:
    """Fills R [9], Q = W R [9] and M's first two columns [9]; returns w, x, y, z and 1 / |quaternion|."""
    w, x, y, z, inverse = _unit_quat(quats, n)
    _rotation(w, x, y, z, R)
    for i in range(3):
        for k in range(3):
            Q[3 * i + k] = cam[3 * i] * R[k] + cam[3 * i + 1] * R[3 + k] + cam[3 * i + 2] * R[6 + k]
    for k in range(2):
        s = np.float64(scales[n, k])
        M[k] = (cam[12] * Q[k] + cam[14] * Q[6 + k]) * s
        M[3 + k] = (cam[13] * Q[3 + k] + cam[15] * Q[6 + k]) * s
        M[6 + k] = Q[6 + k] * s
    return w, x, y, z, inverse


@device
def _facing(Q: Any, x: Any, y: Any, z: Any) -> Any:
    """1 where the third axis looks at the camera, else -1."""
    return 1.0 if Q[2] * x + Q[5] * y + Q[8] * z < 0.0 else -1.0


@device
def _span(first: Any, second: Any, w0: Any, w1: Any, divisor: Any) -> Any:
    """The box's middle relative to the projected centre, and the square of half its size."""
    middle = (first * w0 + second * w1) / divisor
    return middle, middle * middle - (first * first + second * second) / divisor


@kernel
def project_surfels(
    means: Any,  # [B * N, 3]
    quats: Any,  # [B * N, 4]
    scales: Any,  # [B * N, 3]
    viewmats: Any,  # [B * C, 4, 4]
    Ks: Any,  # [B * C, 3, 3]
    count: int,  # N
    cameras: int,  # C
    width: int,
    height: int,
    near: Any,
    far: Any,
    radius_clip: Any,
    radii: Any,  # [B * C * N, 2] out
    means2d: Any,  # [B * C * N, 2] out
    depths: Any,  # [B * C * N] out
    ray_transforms: Any,  # [B * C * N, 9] out
    normals: Any,  # [B * C * N, 3] out
    ids: Any,  # [B * C * N] out, or empty
    filled: Any,  # [chunks, B * C] out
) -> None:
    """Box, depth, ray transform and normal; zeros for what cannot be seen.

    Where ``ids`` is not empty, each chunk writes only what is seen, from the beginning of its part of every
    image, whose surfel it is to ``ids``, and how many there are to ``filled``.
    """
    packed, chunks = ids.shape[0] > 0, filled.shape[0]
    for chunk in prange(chunks):
        cam, R, Q, M = np.empty(CAMERA), np.empty(9), np.empty(9), np.empty(9)
        first, last = count * chunk // chunks, count * (chunk + 1) // chunks
        for image in range(viewmats.shape[0]):
            read_camera(viewmats, Ks, image, width, height, cam)
            row, base = image * count + first, image // cameras * count
            begin = row
            for n in range(first, last):
                if not packed:
                    row = image * count + n
                    depths[row] = 0.0
                    for k in range(2):
                        radii[row, k] = 0
                        means2d[row, k] = 0.0
                    for k in range(9):
                        ray_transforms[row, k] = 0.0
                    for k in range(3):
                        normals[row, k] = 0.0
                x, y, z = _to_camera(cam, means, base + n)
                if not (z > near and z < far):  # written so that NaN is culled too
                    continue
                _fill_axes(cam, quats, scales, base + n, R, Q, M)
                M[2], M[5], M[8] = cam[12] * x + cam[14] * z, cam[13] * y + cam[15] * z, z
                size = 0.0
                for k in range(9):
                    size += abs(M[k])
                divisor = M[6] * M[6] + M[7] * M[7] - z * z
                if divisor == 0.0 or not size < HUGE:
                    continue
                px, py = M[2] / z, M[5] / z
                dx, xx = _span(M[0] - px * M[6], M[1] - px * M[7], M[6], M[7], divisor)
                dy, yy = _span(M[3] - py * M[6], M[4] - py * M[7], M[6], M[7], divisor)
                px += dx
                py += dy
                rx = math.ceil(REACH * math.sqrt(max(xx, LEAST)))
                ry = math.ceil(REACH * math.sqrt(max(yy, LEAST)))
                if rx <= radius_clip and ry <= radius_clip:
                    continue
                if not (px + rx > 0 and px - rx < width and py + ry > 0 and py - ry < height):
                    continue
                if not abs(px) + abs(py) < HUGE:
                    continue
                radii[row, 0] = np.int32(min(rx, 1e9))
                radii[row, 1] = np.int32(min(ry, 1e9))
                means2d[row, 0] = px
                means2d[row, 1] = py
                depths[row] = z
                for k in range(9):
                    ray_transforms[row, k] = M[k]
                facing = _facing(Q, x, y, z)
                for k in range(3):
                    normals[row, k] = facing * Q[3 * k + 2]
                if packed:
                    ids[row] = n
                    row += 1
            filled[chunk, image] = row - begin


@device
def _box_backward(M: Any, v_M: Any, row: int, v: Any) -> None:
    """Gradient of M from that of the box's middle <m, w> / <w, w>, m one of its first two rows."""
    inner = M[row] * M[6] + M[row + 1] * M[7] - M[row + 2] * M[8]
    f = 1.0 / (M[6] * M[6] + M[7] * M[7] - M[8] * M[8])
    for k in range(3):
        signed = -v * f if k == 2 else v * f
        v_M[row + k] += signed * M[6 + k]
        v_M[6 + k] += signed * (M[row + k] - 2.0 * f * inner * M[6 + k])


@kernel
def project_surfels_backward(
    means: Any,  # [B * N, 3]
    quats: Any,  # [B * N, 4]
    scales: Any,  # [B * N, 3]
    viewmats: Any,  # [B * C, 4, 4]
    Ks: Any,  # [B * C, 3, 3]
    count: int,  # N
    cameras: int,  # C
    width: int,
    height: int,
    starts: Any,  # where packed rows begin, or empty (see ``_packing``)
    ids: Any,
    radii: Any,  # [rows, 2]
    v_means2d: Any,  # [rows, 2]
    v_depths: Any,  # [rows]
    v_ray_transforms: Any,  # [rows, 9]
    v_normals: Any,  # [rows, 3]
    sparse: bool,
    v_means: Any,  # [B * N, 3], or one a row where ``sparse``; out, zeros
    v_quats: Any,  # [B * N, 4] likewise
    v_scales: Any,  # [B * N, 3] likewise
    v_viewmats: Any,  # [chunks, B * C, 12] out: W row by row, then t; [chunks, 0, 12] if not wanted
) -> None:
    """Gradients of the surfels, summed over cameras, and of the cameras, one sum a chunk."""
    chunks, moved = v_viewmats.shape[0], v_viewmats.shape[1] > 0
    for chunk in prange(chunks):
        cam, R, Q, M = np.empty(CAMERA), np.empty(9), np.empty(9), np.empty(9)
        v_M, v_Q, v_R, v_point = np.empty(9), np.empty(9), np.empty(9), np.empty(3)
        first, last = count * chunk // chunks, count * (chunk + 1) // chunks
        v_viewmats[chunk] = 0.0
        for image in range(viewmats.shape[0]):
            read_camera(viewmats, Ks, image, width, height, cam)
            v_cam, base = v_viewmats[chunk, image if moved else 0], image // cameras * count
            begin, end = rows_between(starts, ids, image, count, first, last)
            for row in range(begin, end):
                if radii[row, 0] <= 0:
                    continue
                n = base + (row - image * count if starts.shape[0] == 0 else ids[row])
                to = row if sparse else n
                x, y, z = _to_camera(cam, means, n)
                w, qx, qy, qz, inverse = _fill_axes(cam, quats, scales, n, R, Q, M)
                M[2], M[5], M[8] = cam[12] * x + cam[14] * z, cam[13] * y + cam[15] * z, z
                for k in range(9):
                    v_M[k] = v_ray_transforms[row, k]
                v_M[8] += v_depths[row]
                _box_backward(M, v_M, 0, np.float64(v_means2d[row, 0]))
                _box_backward(M, v_M, 3, np.float64(v_means2d[row, 1]))
                # M = K [Q₀ s₀, Q₁ s₁, p], and the normal is ± Q₂
                facing = _facing(Q, x, y, z)
                for k in range(3):
                    v_x, v_y = cam[12] * v_M[k], cam[13] * v_M[3 + k]
                    v_z = cam[14] * v_M[k] + cam[15] * v_M[3 + k] + v_M[6 + k]
                    if k == 2:
                        v_point[0], v_point[1], v_point[2] = v_x, v_y, v_z
                    else:
                        s = np.float64(scales[n, k])
                        v_scales[to, k] += v_x * Q[k] + v_y * Q[3 + k] + v_z * Q[6 + k]
                        v_Q[k], v_Q[3 + k], v_Q[6 + k] = v_x * s, v_y * s, v_z * s
                    v_Q[3 * k + 2] = facing * v_normals[row, k]
                for j in range(3):
                    v_means[to, j] += cam[j] * v_point[0] + cam[3 + j] * v_point[1] + cam[6 + j] * v_point[2]
                if moved:
                    _add_camera(v_cam, v_Q, R, means, n, v_point[0], v_point[1], v_point[2])
                # Q = W R
                for i in range(3):
                    for k in range(3):
                        v_R[3 * i + k] = cam[i] * v_Q[k] + cam[3 + i] * v_Q[3 + k] + cam[6 + i] * v_Q[6 + k]
                gw, gx, gy, gz = _rotation_backward(w, qx, qy, qz, v_R)
                along = w * gw + qx * gx + qy * gy + qz * gz
                v_quats[to, 0] += inverse * (gw - along * w)
                v_quats[to, 1] += inverse * (gx - along * qx)
                v_quats[to, 2] += inverse * (gy - along * qy)
                v_quats[to, 3] += inverse * (gz - along * qz)
