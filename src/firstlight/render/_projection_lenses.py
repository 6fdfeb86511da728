"""Camera models: where a point falls, the derivative J of that, and the derivative of J.

Every function takes the model's number, so that one compiled kernel serves all. J is six numbers, row by row;
points are in camera axes (x right, y down, z forward), ``i`` is 1/z.
"""

import math
from typing import Any

from firstlight.render._jit import device

PINHOLE, ORTHO, FISHEYE, EQUIRECTANGULAR = 0, 1, 2, 3
MODELS = {"pinhole": PINHOLE, "ortho": ORTHO, "fisheye": FISHEYE, "equirectangular": EQUIRECTANGULAR}

# W (9), t (3), fx, fy, cx, cy, the bounds of x/z and y/z inside a pinhole's J (4), and an equirectangular
# picture's pixels a radian along longitude and latitude (2)
CAMERA = 22
NEAR_AXIS = 1e-3  # (ρ/z)² below which a fisheye's functions of ρ are summed as series
POLE = 1e-6  # (ρ/r)² below which, 0.06° from a pole, an equirectangular J divides by this instead


@device
def read_camera(viewmats: Any, Ks: Any, image: int, width: int, height: int, cam: Any) -> None:
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
    cam[20], cam[21] = width / (2.0 * math.pi), height / math.pi


@device
def project_point(model: int, cam: Any, x: Any, y: Any, z: Any, i: Any) -> Any:
    """Pixel and depth: z, but the distance for an equirectangular picture."""
    if model == PINHOLE:
        return cam[12] * x * i + cam[14], cam[13] * y * i + cam[15], z
    if model == ORTHO:
        return cam[12] * x + cam[14], cam[13] * y + cam[15], z
    if model == FISHEYE:
        q, _, _ = _fisheye(x, y, z)
        return cam[12] * x * q + cam[14], cam[13] * y * q + cam[15], z
    rho = math.sqrt(x * x + z * z)
    longitude, latitude = math.atan2(x, z), math.atan2(y, rho)
    return cam[20] * (longitude + math.pi), cam[21] * (latitude + 0.5 * math.pi), math.sqrt(rho * rho + y * y)


@device
def _fisheye(x: Any, y: Any, z: Any) -> Any:
    """q = θ/ρ (θ from the axis, ρ² = x² + y²), k = q'/ρ and m = k'/ρ, derivatives by ρ."""
    rho2 = x * x + y * y
    if z > 0.0 and rho2 < NEAR_AXIS * z * z:
        i = 1.0 / z
        t = rho2 * i * i
        q = i * (1.0 - t * (1.0 / 3.0 - t * (1.0 / 5.0 - t / 7.0)))
        k = -i * i * i * (2.0 / 3.0 - t * (4.0 / 5.0 - t * (6.0 / 7.0 - t * 8.0 / 9.0)))
        m = i * i * i * i * i * (8.0 / 5.0 - t * (24.0 / 7.0 - t * 16.0 / 3.0))
        return q, k, m
    rho, r2 = math.sqrt(rho2), rho2 + z * z
    q = math.atan2(rho, z) / rho
    k = (z / r2 - q) / rho2
    return q, k, -(2.0 * z / (r2 * r2) + 3.0 * k) / rho2


@device
def _held(cam: Any, x: Any, y: Any, i: Any) -> Any:
    """x/z and y/z as a pinhole's J uses them, held near the picture."""
    return min(max(x * i, cam[16]), cam[17]), min(max(y * i, cam[18]), cam[19])


@device
def _pole(x: Any, y: Any, z: Any) -> Any:
    """ρ², ρ (distance from the vertical axis, held off it) and r²."""
    r2 = x * x + y * y + z * z
    rho2 = max(x * x + z * z, POLE * r2)
    return rho2, math.sqrt(rho2), r2


@device
def jacobian(model: int, cam: Any, x: Any, y: Any, z: Any, i: Any) -> Any:
    """J at a point."""
    fx, fy = cam[12], cam[13]
    if model == PINHOLE:
        u, v = _held(cam, x, y, i)
        return fx * i, 0.0, -fx * i * u, 0.0, fy * i, -fy * i * v
    if model == ORTHO:
        return fx, 0.0, 0.0, 0.0, fy, 0.0
    if model == FISHEYE:
        q, k, _ = _fisheye(x, y, z)
        r2 = x * x + y * y + z * z
        mixed = k * x * y
        return fx * (q + k * x * x), fx * mixed, -fx * x / r2, fy * mixed, fy * (q + k * y * y), -fy * y / r2
    rho2, rho, r2 = _pole(x, y, z)
    across, down = cam[20] / rho2, cam[21] * y / (rho * r2)
    return across * z, 0.0, -across * x, -down * x, cam[21] * rho / r2, -down * z


@device
def _pinhole_back(cam: Any, x: Any, y: Any, i: Any, J: Any, v_J: Any, v_px: Any, v_py: Any) -> Any:
    """The pixel's gradient does not go through J, whose slopes are held."""
    u, v = _held(cam, x, y, i)
    v_u, v_v = -J[0] * v_J[2], -J[4] * v_J[5]
    v_x, v_y = J[0] * v_px, J[4] * v_py
    v_z = -i * (J[0] * v_J[0] + J[2] * v_J[2] + J[4] * v_J[4] + J[5] * v_J[5] + v_x * x + v_y * y)
    if u == x * i:  # inside the bounds
        v_x += i * v_u
        v_z -= i * v_u * u
    if v == y * i:
        v_y += i * v_v
        v_z -= i * v_v * v
    return v_x, v_y, v_z


@device
def _fisheye_back(cam: Any, x: Any, y: Any, z: Any, v_J: Any) -> Any:
    """Each row of J is the gradient of a coordinate, so its derivatives are a symmetric matrix."""
    fx, fy = cam[12], cam[13]
    _, k, m = _fisheye(x, y, z)
    r2 = x * x + y * y + z * z
    i2, i4 = 1.0 / r2, 1.0 / (r2 * r2)
    a0, a1, a2 = fx * v_J[0], fx * v_J[1], fx * v_J[2]
    b0, b1, b2 = fy * v_J[3], fy * v_J[4], fy * v_J[5]
    xxx, xxy, xyy, yyy = 3 * k * x + m * x * x * x, k * y + m * x * x * y, k * x + m * x * y * y, 3 * k * y
    yyy += m * y * y * y
    xxz, xyz, yyz = 2 * x * x * i4 - i2, 2 * x * y * i4, 2 * y * y * i4 - i2
    return (
        a0 * xxx + a1 * xxy + a2 * xxz + b0 * xxy + b1 * xyy + b2 * xyz,
        a0 * xxy + a1 * xyy + a2 * xyz + b0 * xyy + b1 * yyy + b2 * yyz,
        a0 * xxz + a1 * xyz + a2 * 2 * x * z * i4 + b0 * xyz + b1 * yyz + b2 * 2 * y * z * i4,
    )


@device
def _equirectangular_back(cam: Any, x: Any, y: Any, z: Any, v_J: Any) -> Any:
    rho2, rho, r2 = _pole(x, y, z)
    across, down = cam[20] / rho2, cam[21] / (rho * r2)
    v_x, v_z = -across * v_J[2], across * v_J[0]
    v_rho2 = -across * (z * v_J[0] - x * v_J[2]) / rho2
    both = x * v_J[3] + z * v_J[5]
    v_x -= down * y * v_J[3]
    v_z -= down * y * v_J[5]
    v_y = -down * both
    v_down = -y * both
    v_rho = cam[21] * v_J[4] / r2 - v_down * down / rho
    v_r2 = -cam[21] * rho * v_J[4] / (r2 * r2) - v_down * down / r2
    v_rho2 += 0.5 * v_rho / rho
    if rho2 > x * x + z * z:
        v_r2 += POLE * v_rho2
        v_rho2 = 0.0
    return v_x + 2 * x * (v_rho2 + v_r2), v_y + 2 * y * v_r2, v_z + 2 * z * (v_rho2 + v_r2)


@device
def pull_back(
    model: int, cam: Any, x: Any, y: Any, z: Any, i: Any, J: Any, v_J: Any, v_px: Any, v_py: Any, v_depth: Any
) -> Any:
    """Gradient of the point from those of J, of its pixel and of its depth."""
    if model == PINHOLE:
        v_x, v_y, v_z = _pinhole_back(cam, x, y, i, J, v_J, v_px, v_py)
        return v_x, v_y, v_z + v_depth
    v_x, v_y, v_z = 0.0, 0.0, 0.0
    if model == FISHEYE:
        v_x, v_y, v_z = _fisheye_back(cam, x, y, z, v_J)
    elif model == EQUIRECTANGULAR:
        v_x, v_y, v_z = _equirectangular_back(cam, x, y, z, v_J)
    v_x += J[0] * v_px + J[3] * v_py
    v_y += J[1] * v_px + J[4] * v_py
    v_z += J[2] * v_px + J[5] * v_py
    if model == EQUIRECTANGULAR:
        along = v_depth / math.sqrt(x * x + y * y + z * z)
        return v_x + along * x, v_y + along * y, v_z + along * z
    return v_x, v_y, v_z + v_depth
