"""The rasteriser again in plain torch: slow, obvious, in any precision. Tests hold the kernels to it."""

from firstlight.render.twins._blend import rasterize_to_pixels as rasterize_to_pixels
from firstlight.render.twins._blend import series_exp as series_exp
from firstlight.render.twins._eval3d import blend_in_space as blend_in_space
from firstlight.render.twins._harmonics import spherical_harmonics as spherical_harmonics
from firstlight.render.twins._indices import rasterize_to_indices as rasterize_to_indices
from firstlight.render.twins._projection import fully_fused_projection as fully_fused_projection
from firstlight.render.twins._rasterization import rasterization as rasterization
from firstlight.render.twins._scores import splat_scores as splat_scores
from firstlight.render.twins._surfel_blend import rasterize_to_pixels_2dgs as rasterize_to_pixels_2dgs
from firstlight.render.twins._surfel_projection import (
    fully_fused_projection_2dgs as fully_fused_projection_2dgs,
)
from firstlight.render.twins._surfel_rasterization import rasterization_2dgs as rasterization_2dgs
from firstlight.render.twins._tiles import isect_tiles as isect_tiles
from firstlight.render.twins._unscented import Sensor as Sensor
from firstlight.render.twins._unscented import (
    fully_fused_projection_with_ut as fully_fused_projection_with_ut,
)
