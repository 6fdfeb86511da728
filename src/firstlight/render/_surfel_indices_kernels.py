"""Which surfels reach which pixels, pixel by pixel."""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._blend_kernels import ALPHA_MAX, ALPHA_MIN, OPAQUE
from firstlight.render._jit import device, kernel


@device
def _surfel_alpha(means2d: Any, ray_transforms: Any, opacities: Any, i: int, x: Any, y: Any) -> Any:
    """What surfel i hides of the pixel with its centre at (x, y); 0 where its plane holds the ray."""
    M = ray_transforms[i]
    w0, w1, w2 = np.float64(M[6]), np.float64(M[7]), np.float64(M[8])
    a0, a1, a2 = x * w0 - M[0], x * w1 - M[1], x * w2 - M[2]
    b0, b1, b2 = y * w0 - M[3], y * w1 - M[4], y * w2 - M[5]
    u, v, w = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
    if not w * w > 0.0:
        return 0.0
    dx, dy = x - means2d[i, 0], y - means2d[i, 1]
    power = min(0.5 * (u * u + v * v) / (w * w), dx * dx + dy * dy)
    return min(np.float64(ALPHA_MAX), opacities[i] * math.exp(-power))


@kernel
def reach_pixels_of_surfels(
    means2d: Any,  # [M, 2]
    ray_transforms: Any,  # [M, 9]
    opacities: Any,  # [M]
    ids: Any,  # [n_isects]
    begins: Any,  # [tiles] what part of each tile's list is asked for
    ends: Any,  # [tiles]
    tile_size: int,
    transmittances: Any,  # [I, H, W]
    places: Any,  # [I, H, W] where each pixel's entries go, or empty: then they are only counted
    counts: Any,  # [I, H, W] out, how many there are
    splats: Any,  # [entries] out
    pixels: Any,  # [entries] out: numbers in [I * H * W]
    bounds: Any,  # [chunks + 1] tile numbers
) -> None:
    """A pixel's entries, front to back, up to the surfel that would let less than 1e-4 through."""
    _, height, width = transmittances.shape
    across, down = -(-width // tile_size), -(-height // tile_size)
    for chunk in prange(bounds.shape[0] - 1):
        for tile in range(bounds[chunk], bounds[chunk + 1]):
            image, place = tile // (across * down), tile % (across * down)
            x0, y0 = place % across * tile_size, place // across * tile_size
            for y in range(y0, min(y0 + tile_size, height)):
                for x in range(x0, min(x0 + tile_size, width)):
                    left, found = np.float64(transmittances[image, y, x]), 0
                    for k in range(begins[tile], ends[tile]):
                        i = ids[k]
                        alpha = _surfel_alpha(means2d, ray_transforms, opacities, i, x + 0.5, y + 0.5)
                        if not alpha >= ALPHA_MIN:
                            continue
                        left *= 1.0 - alpha
                        if left <= OPAQUE:
                            break
                        if places.shape[0] > 0:
                            entry = places[image, y, x] + found
                            splats[entry] = i
                            pixels[entry] = (image * height + y) * width + x
                        found += 1
                    counts[image, y, x] = found
