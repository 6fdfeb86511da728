"""Kernels from depth maps to normals, in double precision inside; chunks own rows of the pictures."""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._jit import device, kernel

SHORT = 1e-12  # a cross product no longer than so much of its factors' squares has no direction


@device
def _point(depths: Any, camtoworlds: Any, Ks: Any, image: int, y: int, x: int, ray: Any, point: Any) -> None:
    """The pixel's ray, and its point less the camera's place."""
    u = (x + 0.5 - np.float64(Ks[image, 0, 2])) / Ks[image, 0, 0]
    v = (y + 0.5 - np.float64(Ks[image, 1, 2])) / Ks[image, 1, 1]
    for k in range(3):
        R = camtoworlds[image, k]
        ray[k] = R[0] * u + R[1] * v + R[2]
        point[k] = depths[image, y, x] * ray[k]


@device
def _slopes(depths: Any, camtoworlds: Any, Ks: Any, image: int, y: int, x: int, rays: Any, at: Any) -> Any:
    """Fills the rays [4, 3] of the pixels above, below, left and right, and at [6, 3]: those pixels' points,
    then the differences down and right. Returns the cross product of these and its length, 0 where it has no
    direction: beside the differences, not beside a scene unit, which may be large or small."""
    _point(depths, camtoworlds, Ks, image, y - 1, x, rays[0], at[0])
    _point(depths, camtoworlds, Ks, image, y + 1, x, rays[1], at[1])
    _point(depths, camtoworlds, Ks, image, y, x - 1, rays[2], at[2])
    _point(depths, camtoworlds, Ks, image, y, x + 1, rays[3], at[3])
    for k in range(3):
        at[4, k] = at[1, k] - at[0, k]
        at[5, k] = at[3, k] - at[2, k]
    a = at[4, 1] * at[5, 2] - at[4, 2] * at[5, 1]
    b = at[4, 2] * at[5, 0] - at[4, 0] * at[5, 2]
    c = at[4, 0] * at[5, 1] - at[4, 1] * at[5, 0]
    length, squares = math.sqrt(a * a + b * b + c * c), 0.0
    for k in range(3):
        squares += at[4, k] * at[4, k] + at[5, k] * at[5, k]
    return a, b, c, length if length > SHORT * squares else 0.0


@kernel
def normals_of_depths(
    depths: Any,  # [I, H, W]
    camtoworlds: Any,  # [I, 4, 4]
    Ks: Any,  # [I, 3, 3]
    normals: Any,  # [I, H, W, 3] out, zeros
    chunks: int,
) -> None:
    """Normalised cross product of the central differences down and right."""
    images, height, width = depths.shape
    for chunk in prange(chunks):
        rays, at = np.empty((4, 3)), np.empty((6, 3))
        for row in range(images * height * chunk // chunks, images * height * (chunk + 1) // chunks):
            image, y = row // height, row % height
            if y == 0 or y == height - 1:
                continue
            for x in range(1, width - 1):
                a, b, c, length = _slopes(depths, camtoworlds, Ks, image, y, x, rays, at)
                if length > 0.0:
                    normals[image, y, x, 0] = a / length
                    normals[image, y, x, 1] = b / length
                    normals[image, y, x, 2] = c / length


@kernel
def normals_of_depths_backward(
    depths: Any,  # [I, H, W]
    camtoworlds: Any,  # [I, 4, 4]
    Ks: Any,  # [I, 3, 3]
    v_normals: Any,  # [I, H, W, 3]
    v_depths: Any,  # [I, H, W] out, zeros
    chunks: int,
) -> None:
    """Gradient of the depths. A chunk looks one row over its border, and writes its own rows only."""
    images, height, width = depths.shape
    for chunk in prange(chunks):
        rays, at, v_cross, v_slopes = np.empty((4, 3)), np.empty((6, 3)), np.empty(3), np.empty((2, 3))
        first, last = images * height * chunk // chunks, images * height * (chunk + 1) // chunks
        for row in range(max(first - 1, 0), min(last + 1, images * height)):
            image, y = row // height, row % height
            if y == 0 or y == height - 1:
                continue
            for x in range(1, width - 1):
                a, b, c, length = _slopes(depths, camtoworlds, Ks, image, y, x, rays, at)
                if not length > 0.0:
                    continue
                v = v_normals[image, y, x]
                along = (a * v[0] + b * v[1] + c * v[2]) / (length * length)
                v_cross[0] = (v[0] - along * a) / length
                v_cross[1] = (v[1] - along * b) / length
                v_cross[2] = (v[2] - along * c) / length
                for k in range(3):
                    i, j = (k + 1) % 3, (k + 2) % 3
                    v_slopes[0, k] = at[5, i] * v_cross[j] - at[5, j] * v_cross[i]
                    v_slopes[1, k] = v_cross[i] * at[4, j] - v_cross[j] * at[4, i]
                for side in range(4):
                    slope = side // 2
                    to = row + (2 * side - 1 if side < 2 else 0)
                    if first <= to < last:
                        value = 0.0
                        for k in range(3):
                            value += v_slopes[slope, k] * rays[side, k]
                        sign = -1.0 if side % 2 == 0 else 1.0
                        column = x + (0 if side < 2 else 2 * side - 5)
                        v_depths[image, to % height, column] += sign * value
