"""Distorted lenses and moving shutters: where a point falls, and which ray a pixel looks along.

A sensor is a row of numbers, filled by ``_unscented.sensors``: the pose at the beginning of the exposure as a
quaternion (w first, world → camera) and a translation (7), the same at its end (7), fx, fy, cx, cy, then the
lens from LENS on:
- pinhole: k1 to k6, p1, p2, s1 to s4, as OpenCV has them;
- fisheye: k1 to k4, and the angle where the polynomial stops to rise;
- f-theta: angle → pixels (6), pixels → angle (6), 1 where the latter is exact, c, d, e, the largest angle.

Points and rays are in camera axes (x right, y down, z forward), pixels have their centres at +0.5.
"""

import math
from typing import Any

from firstlight.render._jit import device

PINHOLE, FISHEYE, FTHETA = 0, 1, 2
MODELS = {"pinhole": PINHOLE, "fisheye": FISHEYE, "ftheta": FTHETA}
GLOBAL = 4  # RollingShutterType.GLOBAL
LENS = 18
SENSOR = LENS + 17
POSE = 12  # a rotation row by row, then a translation
FLIPPED = 0.8  # a radial factor below this is close to turning the picture inside out
NEWTON = 20  # steps; what converges at all needs a handful


@device
def pose_at(sensor: Any, time: Any, pose: Any) -> None:
    """Where the camera is ``time`` (0 to 1) into the exposure: linear translation, spherical rotation."""
    cosine = 0.0
    for i in range(4):
        cosine += sensor[i] * sensor[7 + i]
    a, b = 1.0 - time, time
    if abs(cosine) < 1.0 - 1e-12:
        angle = math.acos(abs(cosine))
        a, b = math.sin(a * angle), math.sin(b * angle)
    if cosine < 0.0:  # the shorter way
        b = -b
    w, x = a * sensor[0] + b * sensor[7], a * sensor[1] + b * sensor[8]
    y, z = a * sensor[2] + b * sensor[9], a * sensor[3] + b * sensor[10]
    s = 2.0 / (w * w + x * x + y * y + z * z)
    pose[0], pose[1], pose[2] = 1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)
    pose[3], pose[4], pose[5] = s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)
    pose[6], pose[7], pose[8] = s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)
    for i in range(3):
        pose[9 + i] = (1.0 - time) * sensor[4 + i] + time * sensor[11 + i]


@device
def frame_time(shutter: int, px: Any, py: Any, width: int, height: int) -> Any:
    """How far into the exposure a pixel is read; beyond 0 and 1 outside the picture."""
    if shutter == GLOBAL:
        return 0.0
    lines = height if shutter == 0 or shutter == 2 else width
    if lines == 1:
        return 0.5
    if shutter == 0:
        return math.floor(py) / (lines - 1)
    if shutter == 1:
        return math.floor(px) / (lines - 1)
    return (lines - math.ceil(py if shutter == 2 else px)) / (lines - 1)


@device
def _pinhole(sensor: Any, u: Any, v: Any) -> Any:
    """Slopes of a ray → slopes in the picture, their derivatives by u and v, and the radial factor."""
    k1, k2, k3 = sensor[LENS], sensor[LENS + 1], sensor[LENS + 2]
    k4, k5, k6 = sensor[LENS + 3], sensor[LENS + 4], sensor[LENS + 5]
    p1, p2 = sensor[LENS + 6], sensor[LENS + 7]
    s1, s2, s3, s4 = sensor[LENS + 8], sensor[LENS + 9], sensor[LENS + 10], sensor[LENS + 11]
    r2 = u * u + v * v
    above, below = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1.0 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = above / below
    steep = (k1 + r2 * (2 * k2 + 3 * r2 * k3) - radial * (k4 + r2 * (2 * k5 + 3 * r2 * k6))) / below
    x = radial * u + 2 * p1 * u * v + p2 * (r2 + 2 * u * u) + r2 * (s1 + r2 * s2)
    y = radial * v + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v + r2 * (s3 + r2 * s4)
    bend_x, bend_y = steep * u + p2 + s1 + 2 * s2 * r2, steep * v + p1 + s3 + 2 * s4 * r2  # by r2
    x_u, x_v = radial + 2 * p1 * v + 4 * p2 * u + 2 * u * bend_x, 2 * p1 * u + 2 * v * bend_x
    y_u, y_v = 2 * p2 * v + 2 * u * bend_y, radial + 4 * p1 * v + 2 * p2 * u + 2 * v * bend_y
    return x, y, x_u, x_v, y_u, y_v, radial


@device
def _fisheye(sensor: Any, angle: Any) -> Any:
    """Distance from the axis (in focal lengths) at an angle, and its slope."""
    k1, k2, k3, k4 = sensor[LENS], sensor[LENS + 1], sensor[LENS + 2], sensor[LENS + 3]
    t = angle * angle
    value = angle * (1.0 + t * (k1 + t * (k2 + t * (k3 + t * k4))))
    return value, 1.0 + t * (3 * k1 + t * (5 * k2 + t * (7 * k3 + t * 9 * k4)))


@device
def _polynomial(sensor: Any, at: int, x: Any) -> Any:
    """A polynomial of degree 5 and its slope."""
    value, slope = sensor[at + 5], 0.0
    for i in range(4, -1, -1):
        slope = slope * x + value
        value = value * x + sensor[at + i]
    return value, slope


@device
def _inverse(sensor: Any, at: int, value: Any, x: Any) -> Any:
    """Newton's way to where the polynomial at ``at`` has this value, from ``x``; and whether it got there."""
    for _ in range(NEWTON):
        found, slope = _polynomial(sensor, at, x)
        step = (found - value) / slope
        x -= step
        if abs(step) <= 1e-9 * (1.0 + abs(x)):
            return x, True
    return x, False


@device
def see_point(model: int, sensor: Any, x: Any, y: Any, z: Any) -> Any:
    """The pixel where a point falls, and whether the lens shows it."""
    fx, fy, cx, cy = sensor[14], sensor[15], sensor[16], sensor[17]
    if not z > 0.0:
        return 0.0, 0.0, False
    if model == PINHOLE:
        u, v, _, _, _, _, radial = _pinhole(sensor, x / z, y / z)
        return fx * u + cx, fy * v + cy, radial > FLIPPED
    rho = math.sqrt(x * x + y * y)
    angle = math.atan2(rho, z)
    if model == FISHEYE:
        limit = sensor[LENS + 4]
        distance, _ = _fisheye(sensor, min(angle, limit))
        q = distance / rho if rho > 0.0 else 1.0 / z
        return fx * q * x + cx, fy * q * y + cy, angle < limit and q > 0.0
    limit, exact = sensor[LENS + 16], sensor[LENS + 12]
    distance, _ = _polynomial(sensor, LENS, min(angle, limit))
    there = True
    if exact == 1.0:
        distance, there = _inverse(sensor, LENS + 6, min(angle, limit), distance)
    q = distance / rho if rho > 0.0 else 0.0
    c, d, e = sensor[LENS + 13], sensor[LENS + 14], sensor[LENS + 15]
    return q * (c * x + d * y) + cx, q * (e * x + y) + cy, there and angle <= limit


@device
def _pinhole_ray(sensor: Any, u: Any, v: Any) -> Any:
    """Newton's way from slopes in the picture to those of the ray, on the near side of any fold."""
    x, y, there = u, v, False
    for _ in range(NEWTON):
        found_x, found_y, x_u, x_v, y_u, y_v, radial = _pinhole(sensor, x, y)
        det = x_u * y_v - x_v * y_u
        if not (det > 1e-6 and radial > 0.0):
            return x, y, False
        if there:
            return x, y, True
        dx, dy = found_x - u, found_y - v
        step_x, step_y = (y_v * dx - x_v * dy) / det, (x_u * dy - y_u * dx) / det
        x -= step_x
        y -= step_y
        there = abs(step_x) < 1e-9 and abs(step_y) < 1e-9
    return x, y, False


@device
def _fisheye_angle(sensor: Any, distance: Any) -> Any:
    """Newton's way, kept between angles below and above: the polynomial rises up to its limit."""
    low, high = 0.0, min(sensor[LENS + 4], math.pi)
    most, _ = _fisheye(sensor, high)
    if not distance < most:
        return high, False
    angle = min(distance, high)
    for _ in range(3 * NEWTON):
        found, slope = _fisheye(sensor, angle)
        if found > distance:
            high = angle
        else:
            low = angle
        step = (found - distance) / slope
        to = angle - step
        if not (to >= low and to <= high):
            to = 0.5 * (low + high)
        if abs(to - angle) < 1e-12:
            return to, True
        angle = to
    return angle, True


@device
def look_along(model: int, sensor: Any, px: Any, py: Any) -> Any:
    """The ray (of length 1) that a pixel looks along, and whether there is one."""
    fx, fy, cx, cy = sensor[14], sensor[15], sensor[16], sensor[17]
    if model == PINHOLE:
        u, v, there = _pinhole_ray(sensor, (px - cx) / fx, (py - cy) / fy)
        i = 1.0 / math.sqrt(u * u + v * v + 1.0)
        return u * i, v * i, i, there
    if model == FISHEYE:
        u, v = (px - cx) / fx, (py - cy) / fy
        distance = math.sqrt(u * u + v * v)
        angle, there = _fisheye_angle(sensor, distance)
    else:
        c, d, e = sensor[LENS + 13], sensor[LENS + 14], sensor[LENS + 15]
        u, v = ((px - cx) - d * (py - cy)) / (c - d * e), (c * (py - cy) - e * (px - cx)) / (c - d * e)
        distance = math.sqrt(u * u + v * v)
        angle, there = _polynomial(sensor, LENS + 6, distance)[0], True
        if sensor[LENS + 12] == 0.0:
            angle, there = _inverse(sensor, LENS, distance, angle)
        there = there and angle >= 0.0 and angle <= sensor[LENS + 16]
    side = math.sin(angle) / distance if distance > 1e-9 else 0.0
    return side * u, side * v, math.cos(angle), there
