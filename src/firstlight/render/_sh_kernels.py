"""Spherical harmonics kernels. Basis, order and signs are those of ``firstlight.scene.sh``."""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._jit import device, kernel
from firstlight.render._packing import rows_between


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
def _set(out: Any, k: int, dx: Any, dy: Any, dz: Any) -> None:
    out[k, 0], out[k, 1], out[k, 2] = dx, dy, dz


@device
def _basis_slopes(degree: int, x: Any, y: Any, z: Any, out: Any) -> None:
    """Derivatives of the basis by x, y and z, [K, 3]."""
    _set(out, 0, 0.0, 0.0, 0.0)
    if degree >= 1:
        c = 0.4886025119029199
        _set(out, 1, 0.0, -c, 0.0)
        _set(out, 2, 0.0, 0.0, c)
        _set(out, 3, -c, 0.0, 0.0)
    xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
    if degree >= 2:
        c = 1.0925484305920792
        _set(out, 4, c * y, c * x, 0.0)
        _set(out, 5, 0.0, -c * z, -c * y)
        c = 0.31539156525252005
        _set(out, 6, -2 * c * x, -2 * c * y, 4 * c * z)
        c = 1.0925484305920792
        _set(out, 7, -c * z, 0.0, -c * x)
        c = 0.5462742152960396
        _set(out, 8, 2 * c * x, -2 * c * y, 0.0)
    if degree >= 3:
        c = 0.5900435899266435
        _set(out, 9, -6 * c * xy, -3 * c * (xx - yy), 0.0)
        _set(out, 15, -3 * c * (xx - yy), 6 * c * xy, 0.0)
        c = 2.890611442640554
        _set(out, 10, c * yz, c * xz, c * xy)
        c = 0.4570457994644658
        _set(out, 11, 2 * c * xy, -c * (4 * zz - xx - 3 * yy), -8 * c * yz)
        _set(out, 13, -c * (4 * zz - 3 * xx - yy), 2 * c * xy, -8 * c * xz)
        c = 0.3731763325901154
        _set(out, 12, -6 * c * xz, -6 * c * yz, c * (6 * zz - 3 * xx - 3 * yy))
        c = 1.445305721320277
        _set(out, 14, 2 * c * xz, -2 * c * yz, c * (xx - yy))
    if degree >= 4:
        c = 2.5033429417967046
        _set(out, 16, c * y * (3 * xx - yy), c * x * (xx - 3 * yy), 0.0)
        c = 1.7701307697799304
        _set(out, 17, -6 * c * xy * z, -3 * c * z * (xx - yy), -c * y * (3 * xx - yy))
        _set(out, 23, -3 * c * z * (xx - yy), 6 * c * xy * z, -c * x * (xx - 3 * yy))
        c = 0.9461746957575601
        _set(out, 18, c * y * (7 * zz - 1), c * x * (7 * zz - 1), 14 * c * xy * z)
        c = 0.6690465435572892
        _set(out, 19, 0.0, -c * z * (7 * zz - 3), -c * y * (21 * zz - 3))
        _set(out, 21, -c * z * (7 * zz - 3), 0.0, -c * x * (21 * zz - 3))
        _set(out, 20, 0.0, 0.0, 0.10578554691520431 * z * (140 * zz - 60))
        c = 0.47308734787878004
        _set(out, 22, 2 * c * x * (7 * zz - 1), -2 * c * y * (7 * zz - 1), 14 * c * z * (xx - yy))
        c = 4 * 0.6258357354491761
        _set(out, 24, c * x * (xx - 3 * yy), c * y * (yy - 3 * xx), 0.0)


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
                    _basis(degree, np.float32(x), np.float32(y), np.float32(z), basis)
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
    for chunk in prange(chunks):
        basis, slopes = np.empty(25, np.float32), np.empty((25, 3), np.float32)
        v_origins[chunk] = 0.0
        first, last = count * chunk // chunks, count * (chunk + 1) // chunks
        for image in range(images):
            base = image // cameras * count
            if image % cameras == 0:
                v_points[base + first : base + last] = 0.0
            if own:
                v_coeffs[image * count + first : image * count + last] = 0.0
            elif image % cameras == 0:
                v_coeffs[base + first : base + last] = 0.0
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
                fx, fy, fz = np.float32(x), np.float32(y), np.float32(z)
                _basis(degree, fx, fy, fz, basis)
                sh, v_sh = coeffs[place], v_coeffs[place]
                for k in range(bands):
                    v_sh[k, 0] += basis[k] * red
                    v_sh[k, 1] += basis[k] * green
                    v_sh[k, 2] += basis[k] * blue
                if degree == 0:
                    continue
                _basis_slopes(degree, fx, fy, fz, slopes)
                v_x, v_y, v_z = 0.0, 0.0, 0.0
                for k in range(1, bands):
                    along = sh[k, 0] * red + sh[k, 1] * green + sh[k, 2] * blue
                    v_x += along * slopes[k, 0]
                    v_y += along * slopes[k, 1]
                    v_z += along * slopes[k, 2]
                radial = v_x * x + v_y * y + v_z * z
                v_x, v_y, v_z = (
                    inverse * (v_x - radial * x),
                    inverse * (v_y - radial * y),
                    inverse * (v_z - radial * z),
                )
                v_points[n, 0] += v_x
                v_points[n, 1] += v_y
                v_points[n, 2] += v_z
                v_origins[chunk, image, 0] -= v_x
                v_origins[chunk, image, 1] -= v_y
                v_origins[chunk, image, 2] -= v_z
