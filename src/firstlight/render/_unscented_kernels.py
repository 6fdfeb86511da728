"""The unscented transform: seven points of a Gaussian through the lens as it is, in double precision inside.

Where the classic projection follows the lens's derivative at the centre, this looks at where the centre and
a point before and behind it along each axis fall, and takes mean and covariance of those (Wan and van der
Merwe 2000; for splats Wu et al. 2025).
"""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._jit import device, kernel
from firstlight.render._projection_kernels import ALPHA_MIN, REACH, _rotation, _unit_quat, has_conic
from firstlight.render._unscented_lenses import (
    GLOBAL,
    POSE,
    frame_time,
    look_along,
    pose_at,
    see_point,
)

SHUTTER_STEPS = 10


@device
def _see(
    model: int, sensor: Any, pose: Any, x: Any, y: Any, z: Any, width: int, height: int, margin: Any
) -> Any:
    """The pixel of a point of the world from one pose, and whether it is in the picture or near it."""
    px, py, there = see_point(
        model,
        sensor,
        pose[0] * x + pose[1] * y + pose[2] * z + pose[9],
        pose[3] * x + pose[4] * y + pose[5] * z + pose[10],
        pose[6] * x + pose[7] * y + pose[8] * z + pose[11],
    )
    wide, high = margin * width, margin * height
    inside = px >= -wide and px < width + wide and py >= -high and py < height + high
    return px, py, there and inside


@device
def _see_moving(
    model: int,
    sensor: Any,
    shutter: int,
    poses: Any,
    x: Any,
    y: Any,
    z: Any,
    width: int,
    height: int,
    margin: Any,
) -> Any:
    """As ``_see``, from the pose at the moment when the sensor reads the very pixel where the point falls."""
    px, py, there = _see(model, sensor, poses[0], x, y, z, width, height, margin)
    if shutter == GLOBAL:
        return px, py, there
    if not there:
        px, py, there = _see(model, sensor, poses[1], x, y, z, width, height, margin)
        if not there:
            return px, py, False
    before = np.nan
    for _ in range(SHUTTER_STEPS):
        time = frame_time(shutter, px, py, width, height)
        if time == before:
            break
        before = time
        pose_at(sensor, time, poses[3])
        px, py, there = _see(model, sensor, poses[3], x, y, z, width, height, margin)
    return px, py, there


@kernel
def project_unscented(
    means: Any,  # [B * N, 3]
    quats: Any,  # [B * N, 4]
    scales: Any,  # [B * N, 3]
    opacities: Any,  # [B * N], or empty
    sensors: Any,  # [B * C, SENSOR]
    count: int,  # N
    cameras: int,  # C
    model: int,
    shutter: int,
    width: int,
    height: int,
    spread: Any,  # standard deviations from the centre to the other points
    center_weight: Any,  # the centre's in the covariance
    margin: Any,
    need_all: bool,
    eps2d: Any,
    near: Any,
    far: Any,
    radius_clip: Any,
    chunks: int,
    radii: Any,  # [B * C * N, 2] out, zeros
    means2d: Any,  # [B * C * N, 2] out, zeros
    depths: Any,  # [B * C * N] out, zeros
    conics: Any,  # [B * C * N, 3] out, zeros
    compensations: Any,  # [B * C * N] out, zeros, or empty
) -> None:
    """Centre, extent, inverse covariance and depth in the picture, of what can be seen."""
    weight = 0.5 / (spread * spread)  # of each point but the centre; all seven weigh 1
    for chunk in prange(chunks):
        R, points, poses = np.empty(9), np.empty(14), np.empty((4, POSE))
        for image in range(sensors.shape[0]):
            sensor, base = sensors[image], image // cameras * count
            pose_at(sensor, 0.0, poses[0])
            pose_at(sensor, 1.0, poses[1])
            pose_at(sensor, 0.5, poses[2])
            for n in range(base + count * chunk // chunks, base + count * (chunk + 1) // chunks):
                x, y, z = np.float64(means[n, 0]), np.float64(means[n, 1]), np.float64(means[n, 2])
                middle = poses[2]
                depth = middle[6] * x + middle[7] * y + middle[8] * z + middle[11]
                if not (depth >= near and depth <= far):  # written so that NaN is culled too
                    continue
                w, qx, qy, qz, _ = _unit_quat(quats, n)
                _rotation(w, qx, qy, qz, R)
                seen = 0
                for k in range(7):
                    dx, dy, dz = 0.0, 0.0, 0.0
                    if k > 0:
                        axis = (k - 1) % 3
                        far_out = spread * scales[n, axis] if k < 4 else -spread * scales[n, axis]
                        dx, dy, dz = far_out * R[axis], far_out * R[3 + axis], far_out * R[6 + axis]
                    px, py, there = _see_moving(
                        model, sensor, shutter, poses, x + dx, y + dy, z + dz, width, height, margin
                    )
                    points[2 * k], points[2 * k + 1] = px, py
                    seen += 1 if there else 0
                    if need_all and not there:
                        break
                if seen == 0 or (need_all and seen < 7):
                    continue
                # Relative to the centre's pixel, whose weight is then of no matter for the mean.
                mx, my = 0.0, 0.0
                for k in range(1, 7):
                    mx += weight * (points[2 * k] - points[0])
                    my += weight * (points[2 * k + 1] - points[1])
                c00, c01, c11 = center_weight * mx * mx, center_weight * mx * my, center_weight * my * my
                for k in range(1, 7):
                    dx, dy = points[2 * k] - points[0] - mx, points[2 * k + 1] - points[1] - my
                    c00 += weight * dx * dx
                    c01 += weight * dx * dy
                    c11 += weight * dy * dy
                px, py = points[0] + mx, points[1] + my
                sharp = max(c00 * c11 - c01 * c01, 0.0)
                c00 += eps2d
                c11 += eps2d
                det = c00 * c11 - c01 * c01
                if not has_conic(c00, c11, det):
                    continue
                compensation = math.sqrt(sharp / det)
                reach = REACH
                if opacities.shape[0] > 0:
                    opacity = np.float64(opacities[n]) * compensation
                    if not (opacity >= ALPHA_MIN and opacity < np.inf):
                        continue
                    reach = min(REACH, math.sqrt(2.0 * math.log(opacity / ALPHA_MIN)))
                rx, ry = math.ceil(reach * math.sqrt(c00)), math.ceil(reach * math.sqrt(c11))
                if rx <= radius_clip and ry <= radius_clip:
                    continue
                if not (px + rx > 0 and px - rx < width and py + ry > 0 and py - ry < height):
                    continue
                row = image * count + n - base
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


@kernel
def cast_rays(
    sensors: Any,  # [I, SENSOR]
    model: int,
    shutter: int,
    width: int,
    height: int,
    chunks: int,
    centers: Any,  # [I, 3] out: where each exposure begins
    rays: Any,  # [I, H, 3, pitch] out, zeros; [I, H, 6, pitch] with a rolling shutter
) -> None:
    """The directions (of length 1, or 0 where the lens shows nothing) that the pixels look in.

    With a rolling shutter, where they look from follows, relative to where the exposure begins.
    """
    moving = rays.shape[2] > 3
    for chunk in prange(chunks):
        pose = np.empty(POSE)
        for image in range(sensors.shape[0]):
            sensor = sensors[image]
            pose_at(sensor, 0.0, pose)
            ox, oy, oz = _center(pose)
            if chunk == 0:
                centers[image, 0], centers[image, 1], centers[image, 2] = ox, oy, oz
            for row in range(height * chunk // chunks, height * (chunk + 1) // chunks):
                for column in range(width):
                    px, py = column + 0.5, row + 0.5
                    x, y, z, there = look_along(model, sensor, px, py)
                    if not there:
                        continue
                    if moving:
                        pose_at(sensor, frame_time(shutter, px, py, width, height), pose)
                        cx, cy, cz = _center(pose)
                        rays[image, row, 3, column] = cx - ox
                        rays[image, row, 4, column] = cy - oy
                        rays[image, row, 5, column] = cz - oz
                    for i in range(3):
                        rays[image, row, i, column] = pose[i] * x + pose[3 + i] * y + pose[6 + i] * z


@device
def _center(pose: Any) -> Any:
    """Where a pose has its camera."""
    t0, t1, t2 = pose[9], pose[10], pose[11]
    return (
        -(pose[0] * t0 + pose[3] * t1 + pose[6] * t2),
        -(pose[1] * t0 + pose[4] * t1 + pose[7] * t2),
        -(pose[2] * t0 + pose[5] * t1 + pose[8] * t2),
    )
