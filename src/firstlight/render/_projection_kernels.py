"""Projection kernels: one Gaussian and camera at a time, in double precision inside.

With Q = W R (W the camera's rotation, R the Gaussian's), J the derivative of the projection and T = J Q, the
picture's covariance is A Aᵀ, A = T diag(s). Working with A keeps it positive whatever the rounding, and its
determinant (Cauchy-Binet: the sum of squared minors of A) has no cancellation, so needles survive. Gaussians
given by covariances Σ have R = 1; there A = T Σ and the picture's covariance is A Tᵀ.

Each kernel is compiled for one of two tags: () for pinhole cameras and quaternions, which nearly everyone
uses and where a third of J is known to be zero, (0,) for everything.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._jit import device, kernel
from firstlight.render._packing import rows_between
from firstlight.render._projection_lenses import (
    CAMERA,
    PINHOLE,
    jacobian,
    project_point,
    pull_back,
    read_camera,
)

ALPHA_MIN = 1.0 / 255.0
REACH = 3.33  # standard deviations; an opacity of 1 falls to 1/255 a little before
HUGE = 1e30  # px²: what is larger has left float32 behind


@device
def _unit_quat(quats: Any, n: int) -> Any:
    """w, x, y, z of length 1 and one over the length; a zero quaternion is read as no rotation."""
    w, x, y, z = (
        np.float64(quats[n, 0]),
        np.float64(quats[n, 1]),
        np.float64(quats[n, 2]),
        np.float64(quats[n, 3]),
    )
    squared = w * w + x * x + y * y + z * z
    inverse = 1.0 / math.sqrt(squared) if squared > 1e-60 else 0.0
    return w * inverse, x * inverse, y * inverse, z * inverse, inverse


@device
def _rotation(w: Any, x: Any, y: Any, z: Any, R: Any) -> None:
    R[0], R[1], R[2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    R[3], R[4], R[5] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    R[6], R[7], R[8] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)


@device
def _to_camera(cam: Any, means: Any, n: int) -> Any:
    mx, my, mz = np.float64(means[n, 0]), np.float64(means[n, 1]), np.float64(means[n, 2])
    return (
        cam[0] * mx + cam[1] * my + cam[2] * mz + cam[9],
        cam[3] * mx + cam[4] * my + cam[5] * mz + cam[10],
        cam[6] * mx + cam[7] * my + cam[8] * mz + cam[11],
    )


@device
def _fill_shape(
    plain: bool,
    cam: Any,
    J: Any,
    quats: Any,
    scales: Any,
    covars: Any,
    n: int,
    R: Any,
    Q: Any,
    T: Any,
    A: Any,
) -> Any:
    """Fills R [9], Q = W R [9], T = J Q [6], A [6]; returns w, x, y, z and 1 / |quaternion|."""
    given = not plain and covars.shape[0] > 0
    w, x, y, z, inverse = 1.0, 0.0, 0.0, 0.0, 0.0
    if not given:
        w, x, y, z, inverse = _unit_quat(quats, n)
    _rotation(w, x, y, z, R)
    for i in range(3):
        for k in range(3):
            Q[3 * i + k] = cam[3 * i] * R[k] + cam[3 * i + 1] * R[3 + k] + cam[3 * i + 2] * R[6 + k]
    for k in range(3):
        if plain:
            T[k] = J[0] * Q[k] + J[2] * Q[6 + k]
            T[3 + k] = J[4] * Q[3 + k] + J[5] * Q[6 + k]
        else:
            T[k] = J[0] * Q[k] + J[1] * Q[3 + k] + J[2] * Q[6 + k]
            T[3 + k] = J[3] * Q[k] + J[4] * Q[3 + k] + J[5] * Q[6 + k]
    if given:
        c = covars[n]
        for row in range(0, 6, 3):
            A[row] = c[0] * T[row] + c[1] * T[row + 1] + c[2] * T[row + 2]
            A[row + 1] = c[1] * T[row] + c[3] * T[row + 1] + c[4] * T[row + 2]
            A[row + 2] = c[2] * T[row] + c[4] * T[row + 1] + c[5] * T[row + 2]
    else:
        for k in range(3):
            A[k], A[3 + k] = T[k] * scales[n, k], T[3 + k] * scales[n, k]
    return w, x, y, z, inverse


@device
def _covariance(T: Any, A: Any, given: bool) -> Any:
    """c00, c01, c11 of the picture's covariance and its determinant, below 0 where a given one is none."""
    if given:
        c00 = A[0] * T[0] + A[1] * T[1] + A[2] * T[2]
        c01 = A[0] * T[3] + A[1] * T[4] + A[2] * T[5]
        c11 = A[3] * T[3] + A[4] * T[4] + A[5] * T[5]
        return c00, c01, c11, c00 * c11 - c01 * c01
    c00 = A[0] * A[0] + A[1] * A[1] + A[2] * A[2]
    c01 = A[0] * A[3] + A[1] * A[4] + A[2] * A[5]
    c11 = A[3] * A[3] + A[4] * A[4] + A[5] * A[5]
    m0, m1, m2 = A[0] * A[4] - A[1] * A[3], A[0] * A[5] - A[2] * A[3], A[1] * A[5] - A[2] * A[4]
    return c00, c01, c11, m0 * m0 + m1 * m1 + m2 * m2


@device
def has_conic(c00: Any, c11: Any, det: Any) -> Any:
    """Whether a covariance of the picture is one, and float32 has room for it and for its inverse."""
    return det > 0.0 and 0.0 < c00 < HUGE and 0.0 < c11 < HUGE and max(c00, c11) < HUGE * det


@kernel
def project(
    means: Any,  # [B * N, 3]
    quats: Any,  # [B * N, 4], or empty
    scales: Any,  # [B * N, 3], or empty
    covars: Any,  # [B * N, 6], or empty
    opacities: Any,  # [B * N], or empty
    viewmats: Any,  # [B * C, 4, 4]
    Ks: Any,  # [B * C, 3, 3]
    count: int,  # N
    cameras: int,  # C
    tag: Any,
    model: int,
    width: int,
    height: int,
    eps2d: Any,
    near: Any,
    far: Any,
    radius_clip: Any,
    radii: Any,  # [B * C * N, 2] out
    means2d: Any,  # [B * C * N, 2] out
    depths: Any,  # [B * C * N] out
    conics: Any,  # [B * C * N, 3] out
    compensations: Any,  # [B * C * N] out, or empty
    ids: Any,  # [B * C * N] out, or empty
    filled: Any,  # [chunks, B * C] out
) -> None:
    """Centre, extent, inverse covariance and depth in the picture; zeros for what cannot be seen.

    Where ``ids`` is not empty, each chunk writes only what is seen, from the beginning of its part of every
    image, whose Gaussian it is to ``ids``, and how many there are to ``filled``.
    """
    plain, packed, chunks = len(tag) == 0, ids.shape[0] > 0, filled.shape[0]
    lens, given = PINHOLE if plain else model, not plain and covars.shape[0] > 0
    for chunk in prange(chunks):
        cam, R, Q = np.empty(CAMERA), np.empty(9), np.empty(9)
        T, A = np.empty(6), np.empty(6)
        first, last = count * chunk // chunks, count * (chunk + 1) // chunks
        for image in range(viewmats.shape[0]):
            read_camera(viewmats, Ks, image, width, height, cam)
            row, base = image * count + first, image // cameras * count
            begin = row
            for n in range(first, last):
                if not packed:
                    row = image * count + n
                    radii[row, 0] = 0
                    radii[row, 1] = 0
                    means2d[row, 0] = 0.0
                    means2d[row, 1] = 0.0
                    depths[row] = 0.0
                    conics[row, 0] = 0.0
                    conics[row, 1] = 0.0
                    conics[row, 2] = 0.0
                    if compensations.shape[0] > 0:
                        compensations[row] = 0.0
                x, y, z = _to_camera(cam, means, base + n)
                inverse_z = 1.0 / z
                px, py, depth = project_point(lens, cam, x, y, z, inverse_z)
                if not (depth >= near and depth <= far):  # written so that NaN is culled too
                    continue
                J = jacobian(lens, cam, x, y, z, inverse_z)
                _fill_shape(plain, cam, J, quats, scales, covars, base + n, R, Q, T, A)
                c00, c01, c11, sharp = _covariance(T, A, given)
                det = sharp + eps2d * (c00 + c11) + eps2d * eps2d
                c00 += eps2d
                c11 += eps2d
                if not has_conic(c00, c11, det):
                    continue
                compensation = math.sqrt(max(sharp, 0.0) / det)
                reach = REACH
                if opacities.shape[0] > 0:
                    opacity = np.float64(opacities[base + n])
                    if compensations.shape[0] > 0:
                        opacity *= compensation
                    if not (opacity >= ALPHA_MIN and opacity < np.inf):
                        continue
                    reach = min(REACH, math.sqrt(2.0 * math.log(opacity / ALPHA_MIN)))
                rx, ry = math.ceil(reach * math.sqrt(c00)), math.ceil(reach * math.sqrt(c11))
                if rx <= radius_clip and ry <= radius_clip:
                    continue
                if not (px + rx > 0 and px - rx < width and py + ry > 0 and py - ry < height):
                    continue
                radii[row, 0] = np.int32(min(rx, 1e9))
                radii[row, 1] = np.int32(min(ry, 1e9))
                means2d[row, 0] = px
                means2d[row, 1] = py
                depths[row] = depth
                conics[row, 0] = c11 / det
                conics[row, 1] = -c01 / det
                conics[row, 2] = c00 / det
                if compensations.shape[0] > 0:
                    compensations[row] = compensation
                if packed:
                    ids[row] = n
                    row += 1
            filled[chunk, image] = row - begin


@device
def _rotation_backward(w: Any, x: Any, y: Any, z: Any, v: Any) -> Any:
    """Gradient of the unit quaternion from that of its rotation matrix ``v`` [9]."""
    return (
        2 * (x * (v[7] - v[5]) + y * (v[2] - v[6]) + z * (v[3] - v[1])),
        2 * (w * (v[7] - v[5]) - 2 * x * (v[4] + v[8]) + y * (v[1] + v[3]) + z * (v[2] + v[6])),
        2 * (w * (v[2] - v[6]) + x * (v[1] + v[3]) - 2 * y * (v[0] + v[8]) + z * (v[5] + v[7])),
        2 * (w * (v[3] - v[1]) + x * (v[2] + v[6]) + y * (v[5] + v[7]) - 2 * z * (v[0] + v[4])),
    )


@device
def _covariance_backward(
    c00: Any,
    c01: Any,
    c11: Any,
    sharp: Any,
    conics: Any,
    v_conics: Any,
    row: int,
    compensation: Any,
    v_compensation: Any,
    eps2d: Any,
) -> Any:
    """Gradient of c00, c01, c11 (c01 counted once) from those of the inverse and of the compensation."""
    a, b, c = np.float64(conics[row, 0]), np.float64(conics[row, 1]), np.float64(conics[row, 2])
    va, vb, vc = np.float64(v_conics[row, 0]), np.float64(v_conics[row, 1]), np.float64(v_conics[row, 2])
    # d(C⁻¹) = -C⁻¹ dC C⁻¹
    v00 = -(a * a * va + a * b * vb + b * b * vc)
    v01 = -(2 * a * b * va + (a * c + b * b) * vb + 2 * b * c * vc)
    v11 = -(b * b * va + b * c * vb + c * c * vc)
    if v_compensation != 0.0 and compensation > 1e-6:
        # ρ² = det(A Aᵀ) / det(A Aᵀ + ε I)
        det = sharp + eps2d * (c00 + c11) + eps2d * eps2d
        half = 0.5 * v_compensation / (compensation * det)
        ratio = sharp / det
        v00 += half * (c11 - ratio * (c11 + eps2d))
        v11 += half * (c00 - ratio * (c00 + eps2d))
        v01 -= half * 2 * c01 * (1 - ratio)
    return v00, v01, v11


@device
def _add_covars(v_covars: Any, to: int, T: Any, v00: Any, v01: Any, v11: Any) -> None:
    """Gradient of the upper triangle of Σ, whose other half moves with it."""
    for i in range(3):
        for j in range(i, 3):
            whole = v00 * T[i] * T[j] + v11 * T[3 + i] * T[3 + j]
            mixed = 0.5 * v01 * (T[i] * T[3 + j] + T[j] * T[3 + i])
            twice = 1.0 if i == j else 2.0
            v_covars[to, i * (5 - i) // 2 + j] += twice * (whole + mixed)


@device
def _dot(a: Any, i: int, b: Any, j: int) -> Any:
    return a[i] * b[j] + a[i + 1] * b[j + 1] + a[i + 2] * b[j + 2]


@device
def _add_camera(v_cam: Any, v_Q: Any, R: Any, means: Any, n: int, v_x: Any, v_y: Any, v_z: Any) -> None:
    """Gradient of W, through Q = W R and the point, and of t."""
    for i in range(3):
        for j in range(3):
            v_cam[3 * i + j] += _dot(v_Q, 3 * i, R, 3 * j)
    for j in range(3):
        v_cam[j] += v_x * means[n, j]
        v_cam[3 + j] += v_y * means[n, j]
        v_cam[6 + j] += v_z * means[n, j]
    v_cam[9] += v_x
    v_cam[10] += v_y
    v_cam[11] += v_z


@device
def _clear(begin: int, end: int, v_means: Any, v_quats: Any, v_scales: Any, v_covars: Any) -> None:
    """Zeros in these rows, by the thread that adds to them next; in empty ones there is nothing to clear."""
    for values in (v_means, v_quats, v_scales, v_covars):
        flat, wide = values.reshape(-1), values.shape[1]
        if values.shape[0] > 0:
            flat[wide * begin : wide * end] = 0.0


@kernel
def project_backward(
    means: Any,  # [B * N, 3]
    quats: Any,  # [B * N, 4], or empty
    scales: Any,  # [B * N, 3], or empty
    covars: Any,  # [B * N, 6], or empty
    viewmats: Any,  # [B * C, 4, 4]
    Ks: Any,  # [B * C, 3, 3]
    count: int,  # N
    cameras: int,  # C
    tag: Any,
    model: int,
    width: int,
    height: int,
    eps2d: Any,
    starts: Any,  # where packed rows begin, or empty (see ``_packing``)
    ids: Any,
    radii: Any,  # [rows, 2]
    conics: Any,  # [rows, 3]
    compensations: Any,  # [rows], or empty
    v_means2d: Any,  # [rows, 2]
    v_depths: Any,  # [rows]
    v_conics: Any,  # [rows, 3]
    v_compensations: Any,  # [rows], or empty
    sparse: bool,
    v_means: Any,  # [B * N, 3], or one a row where ``sparse``; out
    v_quats: Any,  # [B * N, 4] likewise, or empty
    v_scales: Any,  # [B * N, 3] likewise, or empty
    v_covars: Any,  # [B * N, 6] likewise, or empty
    v_viewmats: Any,  # [chunks, B * C, 12] out: W row by row, then t; [chunks, 0, 12] if not wanted
) -> None:
    """Gradients of the Gaussians, summed over cameras, and of the cameras, one sum a chunk."""
    plain, chunks = len(tag) == 0, v_viewmats.shape[0]
    lens, given = PINHOLE if plain else model, not plain and covars.shape[0] > 0
    moved = v_viewmats.shape[1] > 0
    for chunk in prange(chunks):
        cam, R, Q = np.empty(CAMERA), np.empty(9), np.empty(9)
        T, A = np.empty(6), np.empty(6)
        v_T, v_Q, v_R = np.empty(6), np.empty(9), np.empty(9)
        first, last = count * chunk // chunks, count * (chunk + 1) // chunks
        v_viewmats[chunk] = 0.0
        for image in range(viewmats.shape[0]):
            read_camera(viewmats, Ks, image, width, height, cam)
            v_cam, base = v_viewmats[chunk, image if moved else 0], image // cameras * count
            begin, end = rows_between(starts, ids, image, count, first, last)
            if sparse:
                _clear(begin, end, v_means, v_quats, v_scales, v_covars)
            elif image % cameras == 0:
                _clear(base + first, base + last, v_means, v_quats, v_scales, v_covars)
            for row in range(begin, end):
                if radii[row, 0] <= 0:
                    continue
                n = base + (row - image * count if starts.shape[0] == 0 else ids[row])
                to = row if sparse else n
                x, y, z = _to_camera(cam, means, n)
                inverse_z = 1.0 / z
                J = jacobian(lens, cam, x, y, z, inverse_z)
                w, qx, qy, qz, inverse = _fill_shape(plain, cam, J, quats, scales, covars, n, R, Q, T, A)
                compensation, v_compensation = 0.0, 0.0
                if v_compensations.shape[0] > 0:
                    compensation = np.float64(compensations[row])
                    v_compensation = np.float64(v_compensations[row])
                c00, c01, c11, sharp = _covariance(T, A, given)
                v00, v01, v11 = _covariance_backward(
                    c00, c01, c11, sharp, conics, v_conics, row, compensation, v_compensation, eps2d
                )
                for k in range(3):
                    v_T[k], v_T[3 + k] = 2 * v00 * A[k] + v01 * A[3 + k], 2 * v11 * A[3 + k] + v01 * A[k]
                if given:
                    _add_covars(v_covars, to, T, v00, v01, v11)
                else:
                    for k in range(3):
                        v_scales[to, k] += v_T[k] * T[k] + v_T[3 + k] * T[3 + k]
                        v_T[k] *= scales[n, k]
                        v_T[3 + k] *= scales[n, k]
                # T = J Q
                for k in range(3):
                    if plain:
                        v_Q[k], v_Q[3 + k] = J[0] * v_T[k], J[4] * v_T[3 + k]
                    else:
                        v_Q[k] = J[0] * v_T[k] + J[3] * v_T[3 + k]
                        v_Q[3 + k] = J[1] * v_T[k] + J[4] * v_T[3 + k]
                    v_Q[6 + k] = J[2] * v_T[k] + J[5] * v_T[3 + k]
                v_J = (
                    _dot(v_T, 0, Q, 0), _dot(v_T, 0, Q, 3), _dot(v_T, 0, Q, 6),
                    _dot(v_T, 3, Q, 0), _dot(v_T, 3, Q, 3), _dot(v_T, 3, Q, 6),
                )  # fmt: skip
                v_px, v_py = np.float64(v_means2d[row, 0]), np.float64(v_means2d[row, 1])
                v_x, v_y, v_z = pull_back(
                    lens, cam, x, y, z, inverse_z, J, v_J, v_px, v_py, np.float64(v_depths[row])
                )
                for j in range(3):
                    v_means[to, j] += cam[j] * v_x + cam[3 + j] * v_y + cam[6 + j] * v_z
                if moved:
                    _add_camera(v_cam, v_Q, R, means, n, v_x, v_y, v_z)
                if given:
                    continue
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
