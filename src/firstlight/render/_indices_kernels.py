"""Which splats reach which pixels, pixel by pixel."""

import math
from typing import Any

import numpy as np
from numba import prange

from firstlight.render._blend_kernels import ALPHA_MAX, ALPHA_MIN, OPAQUE
from firstlight.render._jit import kernel


@kernel
def reach_pixels(
    means2d: Any,  # [M, 2]
    conics: Any,  # [M, 3]
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
    """A pixel's entries, front to back, up to the splat that would let less than 1e-4 through."""
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
                        dx, dy = x + 0.5 - np.float64(means2d[i, 0]), y + 0.5 - np.float64(means2d[i, 1])
                        power = (
                            0.5 * (conics[i, 0] * dx * dx + conics[i, 2] * dy * dy) + conics[i, 1] * dx * dy
                        )
                        if not power >= 0.0:
                            continue
                        alpha = min(np.float64(ALPHA_MAX), opacities[i] * math.exp(-power))
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
