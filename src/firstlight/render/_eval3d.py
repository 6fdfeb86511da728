"""Gaussians into pixels, met in space."""

from torch import Tensor

from firstlight.render._arrays import check_channels, check_shape, differentiable
from firstlight.render._blend import make_grid
from firstlight.render._errors import ShapeError, unsupported
from firstlight.render._eval3d_rule import BlendInSpace
from firstlight.render._gsplat import cuda_by_gsplat
from firstlight.render._projection import CameraModel
from firstlight.render._unscented import sensors
from firstlight.render._unscented_types import (
    FThetaCameraDistortionParameters,
    RollingShutterType,
    UnscentedTransformParameters,
)


@cuda_by_gsplat
def rasterize_to_pixels_eval3d(
    means: Tensor,  # [..., N, 3]
    quats: Tensor,  # [..., N, 4]
    scales: Tensor,  # [..., N, 3]
    colors: Tensor,  # [..., C, N, D]
    opacities: Tensor,  # [..., C, N]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]
    image_width: int,
    image_height: int,
    tile_size: int,
    isect_offsets: Tensor,  # [..., C, tile_height, tile_width] int32
    flatten_ids: Tensor,  # [n_isects] int32
    backgrounds: Tensor | None = None,  # [..., C, D]
    masks: Tensor | None = None,  # [..., C, tile_height, tile_width] bool
    camera_model: CameraModel = "pinhole",
    ut_params: UnscentedTransformParameters = UnscentedTransformParameters(),  # noqa: B008
    radial_coeffs: Tensor | None = None,  # [..., C, 6], or [..., C, 4] of a fisheye
    tangential_coeffs: Tensor | None = None,  # [..., C, 2]
    thin_prism_coeffs: Tensor | None = None,  # [..., C, 4]
    ftheta_coeffs: FThetaCameraDistortionParameters | None = None,
    rolling_shutter: RollingShutterType = RollingShutterType.GLOBAL,
    viewmats_rs: Tensor | None = None,  # [..., C, 4, 4]
) -> tuple[Tensor, Tensor]:
    """Blend Gaussians front to back, each as strong as at its strongest point along the pixel's ray.

    As ``rasterize_to_pixels``, but in space and not in the picture plane (3DGUT, Wu et al. 2025; gsplat's
    interface), so that distorted lenses and rolling shutters (see ``fully_fused_projection_with_ut``) are
    exact. Nothing is added to a Gaussian's size. Pixels that no ray of the lens reaches show the background.
    ``ut_params`` change nothing.

    Returns colours [..., C, H, W, D] and alphas [..., C, H, W, 1]. Gradients flow to means, quats, scales,
    colors, opacities and backgrounds; a clamped alpha passes none. As in gsplat there is none of viewmats:
    NotImplementedError where one is asked for, and for packed colours and other lenses. Tiles may have any
    size; 16 is fastest. ShapeError for inputs that do not fit, TypeError unless all are float32 on the CPU.
    """
    name = "rasterize_to_pixels_eval3d"
    if means.dim() < 2 or viewmats.dim() < 3:
        raise ShapeError(
            f"expected means [..., N, 3] and viewmats [..., C, 4, 4], got {list(means.shape)} and "
            f"{list(viewmats.shape)}"
        )
    batch, count, cameras, channels = means.shape[:-2], means.shape[-2], viewmats.shape[-3], colors.shape[-1]
    if colors.dim() == means.dim():
        raise unsupported(name, "packed colours", "gsplat has none here either; use packed=False")
    check_channels(colors)
    check_shape("means", means, *batch, count, 3)
    check_shape("quats", quats, *batch, count, 4)
    check_shape("scales", scales, *batch, count, 3)
    check_shape("colors", colors, *batch, cameras, count, channels)
    check_shape("opacities", opacities, *batch, cameras, count)
    check_shape("viewmats", viewmats, *batch, cameras, 4, 4)
    if backgrounds is not None:
        check_shape("backgrounds", backgrounds, *batch, cameras, channels)
    lenses = sensors(
        name, viewmats, Ks, image_width, image_height, camera_model, radial_coeffs, tangential_coeffs,
        thin_prism_coeffs, ftheta_coeffs, rolling_shutter, viewmats_rs,
    )  # fmt: skip
    if isect_offsets.shape[:-2] != (*batch, cameras):
        raise ShapeError(
            f"isect_offsets: expected leading dimensions {[*batch, cameras]}, got {list(isect_offsets.shape)}"
        )
    grid, ids = make_grid(image_width, image_height, tile_size, isect_offsets, flatten_ids, masks)
    behind = None if backgrounds is None else backgrounds.reshape(-1, channels)
    picture, alphas = differentiable(
        BlendInSpace, means, quats, scales, colors, opacities, behind, viewmats, ids, grid, lenses
    )
    size = (*batch, cameras, image_height, image_width)
    return picture.view(*size, channels), alphas.view(*size, 1)
