"""The rasteriser: gsplat's operations on the CPU."""

from firstlight.render._blend import rasterize_to_pixels as rasterize_to_pixels
from firstlight.render._camera import BLUR as BLUR
from firstlight.render._camera import NEAR as NEAR
from firstlight.render._camera import SurfelView as SurfelView
from firstlight.render._camera import near_for as near_for
from firstlight.render._camera import render_camera as render_camera
from firstlight.render._camera import render_surfels as render_surfels
from firstlight.render._covariance import quat_scale_to_covar_preci as quat_scale_to_covar_preci
from firstlight.render._depth_normals import depth_to_normal as depth_to_normal
from firstlight.render._depth_normals import depth_to_points as depth_to_points
from firstlight.render._errors import ShapeError as ShapeError
from firstlight.render._eval3d import rasterize_to_pixels_eval3d as rasterize_to_pixels_eval3d
from firstlight.render._harmonics import spherical_harmonics as spherical_harmonics
from firstlight.render._indices import accumulate as accumulate
from firstlight.render._indices import rasterize_to_indices_in_range as rasterize_to_indices_in_range
from firstlight.render._projection import fully_fused_projection as fully_fused_projection
from firstlight.render._rasterization import rasterization as rasterization
from firstlight.render._scores import Scores as Scores
from firstlight.render._scores import splat_scores as splat_scores
from firstlight.render._surfel_blend import rasterize_to_pixels_2dgs as rasterize_to_pixels_2dgs
from firstlight.render._surfel_indices import accumulate_2dgs as accumulate_2dgs
from firstlight.render._surfel_indices import (
    rasterize_to_indices_in_range_2dgs as rasterize_to_indices_in_range_2dgs,
)
from firstlight.render._surfel_projection import fully_fused_projection_2dgs as fully_fused_projection_2dgs
from firstlight.render._surfel_rasterization import rasterization_2dgs as rasterization_2dgs
from firstlight.render._tiles import isect_offset_encode as isect_offset_encode
from firstlight.render._tiles import isect_tiles as isect_tiles
from firstlight.render._unscented import fully_fused_projection_with_ut as fully_fused_projection_with_ut
from firstlight.render._unscented_types import (
    FThetaCameraDistortionParameters as FThetaCameraDistortionParameters,
)
from firstlight.render._unscented_types import FThetaPolynomialType as FThetaPolynomialType
from firstlight.render._unscented_types import RollingShutterType as RollingShutterType
from firstlight.render._unscented_types import UnscentedTransformParameters as UnscentedTransformParameters
