"""Spherical harmonics kernels. Basis, order and signs are those of ``firstlight.scene.sh``."""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._jit import device, kernel
from firstlight.render._packing import rows_between

BLOCK = 64  # Gaussians whose gradients are zeroed and filled while they are in the first cache


@device
def _basis(degree: int, x: Any, y: Any, z: Any, out: Any) -> None:
    out[0] = 0.28209479177387814
    if degree >= 1:
        out[1] = -0.4886025119029199 * y
        out[2] = 0.4886025119029199 * z
        out[3] = -0.4886025119029199 * x
    xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
    if degree >= 2:
        out[4] = 1.0925484305920792 * xy
        out[5] = -1.0925484305920792 * yz
        out[6] = 0.31539156525252005 * (2 * zz - xx - yy)
        out[7] = -1.0925484305920792 * xz
        out[8] = 0.5462742152960396 * (xx - yy)
    if degree >= 3:
        out[9] = -0.5900435899266435 * y * (3 * xx - yy)
        out[10] = 2.890611442640554 * xy * z
        out[11] = -0.4570457994644658 * y * (4 * zz - xx - yy)
        out[12] = 0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy)
        out[13] = -0.4570457994644658 * x * (4 * zz - xx - yy)
        out[14] = 1.445305721320277 * z * (xx - yy)
        out[15] = -0.5900435899266435 * x * (xx - 3 * yy)
    if degree >= 4:
        out[16] = 2.5033429417967046 * xy * (xx - yy)
        out[17] = -1.7701307697799304 * yz * (3 * xx - yy)
        out[18] = 0.9461746957575601 * xy * (7 * zz - 1)
        out[19] = -0.6690465435572892 * yz * (7 * zz - 3)
        out[20] = 0.10578554691520431 * (zz * (35 * zz - 30) + 3)
        out[21] = -0.6690465435572892 * xz * (7 * zz - 3)
        out[22] = 0.47308734787878004 * (xx - yy) * (7 * zz - 1)
        out[23] = -1.7701307697799304 * xz * (xx - 3 * yy)
        out[24] = 0.6258357354491761 * (xx * (xx - 3 * yy) - yy * (3 * xx - yy))


@device
def _slope(degree: int, x: Any, y: Any, z: Any, w: Any) -> Any:
    """Derivatives of Σ w[k] basis[k] by x, y and z."""
    v_x, v_y, v_z = 0.0, 0.0, 0.0
    if degree >= 1:
        c = 0.4886025119029199
        v_x, v_y, v_z = -c * w[3], -c * w[1], c * w[2]
    xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
    if degree >= 2:
        a, b, c = 1.0925484305920792, 2 * 0.31539156525252005 * w[6], 2 * 0.5462742152960396 * w[8]
        v_x += a * (y * w[4] - z * w[7]) + (c - b) * x
        v_y += a * (x * w[4] - z * w[5]) - (c + b) * y
        v_z += 2 * b * z - a * (y * w[5] + x * w[7])
    if degree >= 3:
        c, a, b = 0.5900435899266435, 2.890611442640554 * w[10], 2 * 1.445305721320277 * w[14]
        p, q, r = 3 * c * w[9], 3 * c * w[15], 0.3731763325901154 * w[12]
        v_x += a * yz + b * xz - 2 * p * xy - q * (xx - yy) - 6 * r * xz
        v_y += a * xz - b * yz + 2 * q * xy - p * (xx - yy) - 6 * r * yz
        v_z += a * xy + 0.5 * b * (xx - yy) + 3 * r * (2 * zz - xx - yy)
        p, q = 0.4570457994644658 * w[11], 0.4570457994644658 * w[13]
        v_x += 2 * p * xy - q * (4 * zz - 3 * xx - yy)
        v_y += 2 * q * xy - p * (4 * zz - xx - 3 * yy)
        v_z -= 8 * (p * yz + q * xz)
    if degree >= 4:
        c, a, b = 1.7701307697799304, 2.5033429417967046 * w[16], 4 * 0.6258357354491761 * w[24]
        v_x += a * y * (3 * xx - yy) + b * x * (xx - 3 * yy)
        v_y += a * x * (xx - 3 * yy) + b * y * (yy - 3 * xx)
        p, q = c * w[17], c * w[23]
        v_x -= 6 * p * xy * z + 3 * q * z * (xx - yy)
        v_y += 6 * q * xy * z - 3 * p * z * (xx - yy)
        v_z -= p * y * (3 * xx - yy) + q * x * (xx - 3 * yy)
        p, q, r = 0.9461746957575601 * w[18], 2 * 0.47308734787878004 * w[22], 0.10578554691520431 * w[20]
        v_x += p * y * (7 * zz - 1) + q * x * (7 * zz - 1)
        v_y += p * x * (7 * zz - 1) - q * y * (7 * zz - 1)
        v_z += 14 * p * xy * z + 7 * q * z * (xx - yy) + r * z * (140 * zz - 60)
        p, q = 0.6690465435572892 * w[19], 0.6690465435572892 * w[21]
        v_x -= q * z * (7 * zz - 3)
        v_y -= p * z * (7 * zz - 3)
        v_z -= p * y * (21 * zz - 3) + q * x * (21 * zz - 3)
    return v_x, v_y, v_z


@device
def _direction(points: Any, origins: Any, image: int, n: int) -> Any:
    """Unit vector from origin to point and one over its length; zeros for no length."""
    x = np.float64(points[n, 0]) - origins[image, 0]
    y = np.float64(points[n, 1]) - origins[image, 1]
    z = np.float64(points[n, 2]) - origins[image, 2]
    squared = x * x + y * y + z * z
    inverse = 1.0 / math.sqrt(squared) if squared > 1e-60 else 0.0
    return x * inverse, y * inverse, z * inverse, inverse


@kernel
def evaluate(
    points: Any,  # [B * N, 3]
    origins: Any,  # [B * C, 3]
    coeffs: Any,  # [B * N or B * C * N, K, 3]
    visible: Any,  # [rows * step] int32, or empty
    step: int,
    starts: Any,  # where packed rows begin, or empty (see ``_packing``)
    ids: Any,
    count: int,  # N
    cameras: int,  # C
    own: bool,  # whether every camera has its own coefficients
    degree: int,
    offset: Any,
    floor: Any,
    colors: Any,  # [rows, 3] out, zeros where not wanted
    chunks: int,
) -> None:
    """Colours seen from each origin: max(floor, offset + SH(direction))."""
    bands = (degree + 1) * (degree + 1)
    for chunk in prange(chunks):
        basis = np.empty(25, np.float32)
        first, last = count * chunk // chunks, count * (chunk + 1) // chunks
        for image in range(origins.shape[0]):
            base = image // cameras * count
            begin, end = rows_between(starts, ids, image, count, first, last)
            for row in range(begin, end):
                n = row - image * count if starts.shape[0] == 0 else ids[row]
                red, green, blue = np.float32(0.0), np.float32(0.0), np.float32(0.0)
                if visible.shape[0] == 0 or visible[row * step] > 0:
                    x, y, z, _ = _direction(points, origins, image, base + n)
                    _basis(degree, x, y, z, basis)
                    sh = coeffs[image * count + n if own else base + n]
                    for k in range(bands):
                        red += basis[k] * sh[k, 0]
                        green += basis[k] * sh[k, 1]
                        blue += basis[k] * sh[k, 2]
                    red = max(red + np.float32(offset), np.float32(floor))
                    green = max(green + np.float32(offset), np.float32(floor))
                    blue = max(blue + np.float32(offset), np.float32(floor))
                colors[row, 0] = red
                colors[row, 1] = green
                colors[row, 2] = blue


@kernel
def evaluate_backward(
    points: Any,  # [B * N, 3]
    origins: Any,  # [B * C, 3]
    coeffs: Any,  # [B * N or B * C * N, K, 3]
    visible: Any,  # [rows * step] int32, or empty
    step: int,
    starts: Any,
    ids: Any,
    count: int,
    cameras: int,
    own: bool,
    degree: int,
    floor: Any,
    colors: Any,  # [rows, 3]
    v_colors: Any,  # [rows, 3]
    v_points: Any,  # [B * N, 3] out
    v_origins: Any,  # [chunks, B * C, 3] out
    v_coeffs: Any,  # like coeffs, out
) -> None:
    """Gradients of coefficients, points and origins; none through a colour that stands on the floor."""
    bands, chunks, images = (degree + 1) * (degree + 1), v_origins.shape[0], origins.shape[0]
    flat_points, flat_coeffs, wide = v_points.reshape(-1), v_coeffs.reshape(-1), 3 * coeffs.shape[1]
    for chunk in prange(chunks):
        basis, along = np.empty(25, np.float32), np.empty(25, np.float32)
        v_origins[chunk] = 0.0
        stop = count * (chunk + 1) // chunks
        for first in range(count * chunk // chunks, stop, BLOCK):
            last = min(first + BLOCK, stop)
            for image in range(images):
                base = image // cameras * count
                if image % cameras == 0:
                    flat_points[3 * (base + first) : 3 * (base + last)] = 0.0
                if own or image % cameras == 0:
                    place = image * count if own else base
                    flat_coeffs[wide * (place + first) : wide * (place + last)] = 0.0
                begin, end = rows_between(starts, ids, image, count, first, last)
                for row in range(begin, end):
                    if visible.shape[0] > 0 and visible[row * step] <= 0:
                        continue
                    n = row - image * count if starts.shape[0] == 0 else ids[row]
                    place = image * count + n if own else base + n
                    n += base
                    red = v_colors[row, 0] if colors[row, 0] > floor else np.float32(0.0)
                    green = v_colors[row, 1] if colors[row, 1] > floor else np.float32(0.0)
                    blue = v_colors[row, 2] if colors[row, 2] > floor else np.float32(0.0)
                    x, y, z, inverse = _direction(points, origins, image, n)
                    _basis(degree, x, y, z, basis)
                    sh, v_sh = coeffs[place], v_coeffs[place]
                    for k in range(bands):
                        along[k] = sh[k, 0] * red + sh[k, 1] * green + sh[k, 2] * blue
                        v_sh[k, 0] += basis[k] * red
                        v_sh[k, 1] += basis[k] * green
                        v_sh[k, 2] += basis[k] * blue
                    if degree == 0:
                        continue
                    v_x, v_y, v_z = _slope(degree, x, y, z, along)
                    radial = v_x * x + v_y * y + v_z * z
                    v_x = inverse * (v_x - radial * x)
                    v_y = inverse * (v_y - radial * y)
                    v_z = inverse * (v_z - radial * z)
                    v_points[n, 0] += v_x
                    v_points[n, 1] += v_y
                    v_points[n, 2] += v_z
                    v_origins[chunk, image, 0] -= v_x
                    v_origins[chunk, image, 1] -= v_y
                    v_origins[chunk, image, 2] -= v_z
