"""Projection kernels: one Gaussian and camera at a time, in double precision inside.

With Q = W R (W the camera's rotation, R the Gaussian's) and J the derivative of the projection, the picture's
covariance is A Aᵀ, A = J Q diag(s). Working with A keeps it positive whatever the rounding, and its
determinant (Cauchy-Binet: the sum of squared minors of A) has no cancellation, so needles survive.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._jit import device, kernel

ALPHA_MIN = 1.0 / 255.0
REACH = 3.33  # standard deviations; an opacity of 1 falls to 1/255 a little before
CAMERA = 22  # W (9), t (3), fx, fy, cx, cy, and the bounds of x/z and y/z inside J (4); 2 unused
HUGE = 1e30  # px²: what is larger has left float32 behind


@device
def _read_camera(viewmats: Any, Ks: Any, image: int, width: int, height: int, cam: Any) -> None:
    for i in range(3):
        for j in range(3):
            cam[3 * i + j] = viewmats[image, i, j]
        cam[9 + i] = viewmats[image, i, 3]
    fx, fy, cx, cy = Ks[image, 0, 0], Ks[image, 1, 1], Ks[image, 0, 2], Ks[image, 1, 2]
    cam[12], cam[13], cam[14], cam[15] = fx, fy, cx, cy
    # A Gaussian's shape is linearised no further out than 15 % of the picture past its border.
    margin_x, margin_y = 0.15 * width / fx, 0.15 * height / fy
    cam[16], cam[17] = -(cx / fx + margin_x), (width - cx) / fx + margin_x
    cam[18], cam[19] = -(cy / fy + margin_y), (height - cy) / fy + margin_y


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
def _slopes(cam: Any, x: Any, y: Any, z: Any) -> Any:
    """x/z and y/z as J uses them, held near the picture."""
    return (
        min(max(x / z, cam[16]), cam[17]),
        min(max(y / z, cam[18]), cam[19]),
    )


@device
def _fill_shape(
    cam: Any, R: Any, scales: Any, n: int, u: Any, v: Any, z: Any, Q: Any, T: Any, A: Any
) -> None:
    """Q = W R [9], T = J Q [6], A = T diag(s) [6]."""
    for i in range(3):
        for k in range(3):
            Q[3 * i + k] = cam[3 * i] * R[k] + cam[3 * i + 1] * R[3 + k] + cam[3 * i + 2] * R[6 + k]
    jx, jy = cam[12] / z, cam[13] / z
    for k in range(3):
        T[k] = jx * (Q[k] - u * Q[6 + k])
        T[3 + k] = jy * (Q[3 + k] - v * Q[6 + k])
        A[k], A[3 + k] = T[k] * scales[n, k], T[3 + k] * scales[n, k]


@device
def _covariance(A: Any) -> Any:
    """c00, c01, c11 and the determinant of A Aᵀ."""
    c00 = A[0] * A[0] + A[1] * A[1] + A[2] * A[2]
    c01 = A[0] * A[3] + A[1] * A[4] + A[2] * A[5]
    c11 = A[3] * A[3] + A[4] * A[4] + A[5] * A[5]
    m0, m1, m2 = A[0] * A[4] - A[1] * A[3], A[0] * A[5] - A[2] * A[3], A[1] * A[5] - A[2] * A[4]
    return c00, c01, c11, m0 * m0 + m1 * m1 + m2 * m2


@kernel
def project(
    means: Any,  # [N, 3]
    quats: Any,  # [N, 4]
    scales: Any,  # [N, 3]
    opacities: Any,  # [N], or empty
    viewmats: Any,  # [C, 4, 4]
    Ks: Any,  # [C, 3, 3]
    width: int,
    height: int,
    eps2d: Any,
    near: Any,
    far: Any,
    radius_clip: Any,
    radii: Any,  # [C, N, 2] out
    means2d: Any,  # [C, N, 2] out
    depths: Any,  # [C, N] out
    conics: Any,  # [C, N, 3] out
    compensations: Any,  # [C, N] out, or empty
    chunks: int,
) -> None:
    """Centre, extent, inverse covariance and depth in the picture; zeros for what cannot be seen."""
    count = means.shape[0]
    for chunk in prange(chunks):
        cam, R, Q = np.empty(CAMERA), np.empty(9), np.empty(9)
        T, A = np.empty(6), np.empty(6)
        for image in range(viewmats.shape[0]):
            _read_camera(viewmats, Ks, image, width, height, cam)
            for n in range(count * chunk // chunks, count * (chunk + 1) // chunks):
                radii[image, n, 0] = 0
                radii[image, n, 1] = 0
                means2d[image, n, 0] = 0.0
                means2d[image, n, 1] = 0.0
                depths[image, n] = 0.0
                conics[image, n, 0] = 0.0
                conics[image, n, 1] = 0.0
                conics[image, n, 2] = 0.0
                if compensations.shape[0] > 0:
                    compensations[image, n] = 0.0
                x, y, z = _to_camera(cam, means, n)
                if not (z >= near and z <= far):  # written so that NaN is culled too
                    continue
                px, py = cam[12] * x / z + cam[14], cam[13] * y / z + cam[15]
                w, qx, qy, qz, _ = _unit_quat(quats, n)
                _rotation(w, qx, qy, qz, R)
                u, v = _slopes(cam, x, y, z)
                _fill_shape(cam, R, scales, n, u, v, z, Q, T, A)
                c00, c01, c11, sharp = _covariance(A)
                det = sharp + eps2d * (c00 + c11) + eps2d * eps2d
                c00 += eps2d
                c11 += eps2d
                if not (det > 0.0 and c00 < HUGE and c11 < HUGE):
                    continue
                compensation = math.sqrt(sharp / det)
                reach = REACH
                if opacities.shape[0] > 0:
                    opacity = np.float64(opacities[n])
                    if compensations.shape[0] > 0:
                        opacity *= compensation
                    if not (opacity >= ALPHA_MIN):
                        continue
                    reach = min(REACH, math.sqrt(2.0 * math.log(opacity / ALPHA_MIN)))
                rx, ry = math.ceil(reach * math.sqrt(c00)), math.ceil(reach * math.sqrt(c11))
                if rx <= radius_clip and ry <= radius_clip:
                    continue
                if not (px + rx > 0 and px - rx < width and py + ry > 0 and py - ry < height):
                    continue
                radii[image, n, 0] = np.int32(min(rx, 1e9))
                radii[image, n, 1] = np.int32(min(ry, 1e9))
                means2d[image, n, 0] = px
                means2d[image, n, 1] = py
                depths[image, n] = z
                conics[image, n, 0] = c11 / det
                conics[image, n, 1] = -c01 / det
                conics[image, n, 2] = c00 / det
                if compensations.shape[0] > 0:
                    compensations[image, n] = compensation


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
    A: Any,
    conics: Any,
    v_conics: Any,
    image: int,
    n: int,
    compensation: Any,
    v_compensation: Any,
    eps2d: Any,
) -> Any:
    """Gradient of c00, c01, c11 (c01 counted once) from those of the inverse and of the compensation."""
    a, b, c = (
        np.float64(conics[image, n, 0]),
        np.float64(conics[image, n, 1]),
        np.float64(conics[image, n, 2]),
    )
    va, vb, vc = (
        np.float64(v_conics[image, n, 0]),
        np.float64(v_conics[image, n, 1]),
        np.float64(v_conics[image, n, 2]),
    )
    # d(C⁻¹) = -C⁻¹ dC C⁻¹
    v00 = -(a * a * va + a * b * vb + b * b * vc)
    v01 = -(2 * a * b * va + (a * c + b * b) * vb + 2 * b * c * vc)
    v11 = -(b * b * va + b * c * vb + c * c * vc)
    if v_compensation != 0.0 and compensation > 1e-6:
        # ρ² = det(A Aᵀ) / det(A Aᵀ + ε I)
        c00, c01, c11, sharp = _covariance(A)
        det = sharp + eps2d * (c00 + c11) + eps2d * eps2d
        half = 0.5 * v_compensation / (compensation * det)
        ratio = sharp / det
        v00 += half * (c11 - ratio * (c11 + eps2d))
        v11 += half * (c00 - ratio * (c00 + eps2d))
        v01 -= half * 2 * c01 * (1 - ratio)
    return v00, v01, v11


@kernel
def project_backward(
    means: Any,  # [N, 3]
    quats: Any,  # [N, 4]
    scales: Any,  # [N, 3]
    viewmats: Any,  # [C, 4, 4]
    Ks: Any,  # [C, 3, 3]
    width: int,
    height: int,
    eps2d: Any,
    radii: Any,  # [C, N, 2]
    conics: Any,  # [C, N, 3]
    compensations: Any,  # [C, N], or empty
    v_means2d: Any,  # [C, N, 2]
    v_depths: Any,  # [C, N]
    v_conics: Any,  # [C, N, 3]
    v_compensations: Any,  # [C, N], or empty
    v_means: Any,  # [N, 3] out
    v_quats: Any,  # [N, 4] out
    v_scales: Any,  # [N, 3] out
    v_viewmats: Any,  # [chunks, C, 12] out: W row by row, then t
) -> None:
    """Gradients of the Gaussians, summed over cameras, and of the cameras, one sum a chunk."""
    count = means.shape[0]
    chunks = v_viewmats.shape[0]
    for chunk in prange(chunks):
        cam, R, Q = np.empty(CAMERA), np.empty(9), np.empty(9)
        T, A, v_T = np.empty(6), np.empty(6), np.empty(6)
        v_Q, v_R = np.empty(9), np.empty(9)
        first, last = count * chunk // chunks, count * (chunk + 1) // chunks
        v_means[first:last] = 0.0
        v_quats[first:last] = 0.0
        v_scales[first:last] = 0.0
        v_viewmats[chunk] = 0.0
        for image in range(viewmats.shape[0]):
            _read_camera(viewmats, Ks, image, width, height, cam)
            v_cam = v_viewmats[chunk, image]
            for n in range(first, last):
                if radii[image, n, 0] <= 0:
                    continue
                x, y, z = _to_camera(cam, means, n)
                w, qx, qy, qz, inverse = _unit_quat(quats, n)
                _rotation(w, qx, qy, qz, R)
                u, v = _slopes(cam, x, y, z)
                _fill_shape(cam, R, scales, n, u, v, z, Q, T, A)
                compensation, v_compensation = 0.0, 0.0
                if v_compensations.shape[0] > 0:
                    compensation = np.float64(compensations[image, n])
                    v_compensation = np.float64(v_compensations[image, n])
                v00, v01, v11 = _covariance_backward(
                    A, conics, v_conics, image, n, compensation, v_compensation, eps2d
                )
                for k in range(3):
                    v_a0, v_a1 = 2 * v00 * A[k] + v01 * A[3 + k], 2 * v11 * A[3 + k] + v01 * A[k]
                    v_scales[n, k] += v_a0 * T[k] + v_a1 * T[3 + k]
                    v_T[k], v_T[3 + k] = v_a0 * scales[n, k], v_a1 * scales[n, k]
                # T0 = fx/z (Q0 - u Q2), T1 = fy/z (Q1 - v Q2)
                jx, jy = cam[12] / z, cam[13] / z
                v_u, v_v, v_z = 0.0, 0.0, np.float64(v_depths[image, n])
                for k in range(3):
                    v_Q[k], v_Q[3 + k] = jx * v_T[k], jy * v_T[3 + k]
                    v_Q[6 + k] = -(u * jx * v_T[k] + v * jy * v_T[3 + k])
                    v_u -= jx * v_T[k] * Q[6 + k]
                    v_v -= jy * v_T[3 + k] * Q[6 + k]
                    v_z -= (v_T[k] * T[k] + v_T[3 + k] * T[3 + k]) / z
                v_px, v_py = jx * v_means2d[image, n, 0], jy * v_means2d[image, n, 1]
                v_x, v_y = v_px, v_py
                v_z -= (v_px * x + v_py * y) / z
                if u == x / z:  # inside the bounds
                    v_x += v_u / z
                    v_z -= v_u * u / z
                if v == y / z:
                    v_y += v_v / z
                    v_z -= v_v * v / z
                # Q = W R
                for i in range(3):
                    for k in range(3):
                        v_R[3 * i + k] = cam[i] * v_Q[k] + cam[3 + i] * v_Q[3 + k] + cam[6 + i] * v_Q[6 + k]
                for i in range(3):
                    for j in range(3):
                        v_cam[3 * i + j] += (
                            v_Q[3 * i] * R[3 * j]
                            + v_Q[3 * i + 1] * R[3 * j + 1]
                            + v_Q[3 * i + 2] * R[3 * j + 2]
                        )
                for j in range(3):
                    v_means[n, j] += cam[j] * v_x + cam[3 + j] * v_y + cam[6 + j] * v_z
                    v_cam[j] += v_x * means[n, j]
                    v_cam[3 + j] += v_y * means[n, j]
                    v_cam[6 + j] += v_z * means[n, j]
                v_cam[9] += v_x
                v_cam[10] += v_y
                v_cam[11] += v_z
                gw, gx, gy, gz = _rotation_backward(w, qx, qy, qz, v_R)
                along = w * gw + qx * gx + qy * gy + qz * gz
                v_quats[n, 0] += inverse * (gw - along * w)
                v_quats[n, 1] += inverse * (gx - along * qx)
                v_quats[n, 2] += inverse * (gy - along * qy)
                v_quats[n, 3] += inverse * (gz - along * qz)
