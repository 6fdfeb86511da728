"""Gaussians through distorted lenses and moving shutters, and the rays of their pixels."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from firstlight.render import _unscented_kernels
from firstlight.render._arrays import NO_FLOATS, Array, check_shape, view, workers
from firstlight.render._errors import ShapeError, unsupported
from firstlight.render._gsplat import cuda_by_gsplat
from firstlight.render._projection import CameraModel
from firstlight.render._projection_rule import Projected
from firstlight.render._unscented_lenses import FTHETA, LENS, MODELS, PINHOLE, SENSOR
from firstlight.render._unscented_types import (
    FThetaCameraDistortionParameters,
    FThetaPolynomialType,
    RollingShutterType,
    UnscentedTransformParameters,
)
from firstlight.scene.rotation import rotmat_to_quat

# Without types: mypy cannot count arguments that are unpacked.
_project_unscented: Any = _unscented_kernels.project_unscented
_cast_rays: Any = _unscented_kernels.cast_rays


class Sensors(NamedTuple):
    """Cameras with their lenses and shutters, as the kernels take them."""

    rows: Array  # [I, SENSOR] float64, see ``_unscented_lenses``
    model: int
    shutter: int
    width: int
    height: int

    def rays(self) -> tuple[Array, Array]:
        """Where exposures begin [I, 3] float64, and what ``cast_rays`` says [I, H, 3 or 6, pitch]."""
        depth = 3 if self.shutter == RollingShutterType.GLOBAL.value else 6
        centers = np.zeros((len(self.rows), 3))
        rays = np.zeros((len(self.rows), self.height, depth, self.width + 16), np.float32)
        _cast_rays(self.rows, self.model, self.shutter, self.width, self.height, workers(), centers, rays)
        return centers, rays


@cuda_by_gsplat
@torch.no_grad()
def fully_fused_projection_with_ut(
    means: Tensor,  # [..., N, 3]
    quats: Tensor,  # [..., N, 4]
    scales: Tensor,  # [..., N, 3]
    opacities: Tensor | None,  # [..., N]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]
    width: int,
    height: int,
    eps2d: float = 0.3,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    calc_compensations: bool = False,
    camera_model: CameraModel = "pinhole",
    ut_params: UnscentedTransformParameters = UnscentedTransformParameters(),  # noqa: B008
    radial_coeffs: Tensor | None = None,  # [..., C, 6], or [..., C, 4] of a fisheye
    tangential_coeffs: Tensor | None = None,  # [..., C, 2]
    thin_prism_coeffs: Tensor | None = None,  # [..., C, 4]
    ftheta_coeffs: FThetaCameraDistortionParameters | None = None,
    rolling_shutter: RollingShutterType = RollingShutterType.GLOBAL,
    viewmats_rs: Tensor | None = None,  # [..., C, 4, 4]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Project N Gaussians through C distorted or moving cameras (3DGUT, Wu et al. 2025; gsplat's interface).

    As ``fully_fused_projection``, by the unscented transform with ``ut_params``, and not differentiable.
    Lenses: pinhole with OpenCV's radial k1 to k6, tangential p1, p2 and thin-prism s1 to s4; fisheye with
    OpenCV's k1 to k4; ftheta, of one lens for all cameras, whose principal point counts from the first
    pixel's centre. With a rolling shutter the pose moves from ``viewmats`` to ``viewmats_rs`` while the
    picture is read; depths are those at half time. A Gaussian is seen only where all its sigma points (or
    any, as ``ut_params`` say) are before the camera and in the picture or near it.

    Returns radii [..., C, N, 2] int32 (0: not seen), means2d [..., C, N, 2], depths [..., C, N], conics
    [..., C, N, 3] and compensations [..., C, N], or None without ``calc_compensations``. ShapeError for
    inputs that do not fit, TypeError unless all are float32 on the CPU, NotImplementedError for other lenses.
    """
    if means.dim() < 2 or viewmats.dim() < 3:
        raise ShapeError(
            f"expected means [..., N, 3] and viewmats [..., C, 4, 4], got {list(means.shape)} and "
            f"{list(viewmats.shape)}"
        )
    batch, count, cameras = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    check_shape("means", means, *batch, count, 3)
    check_shape("quats", quats, *batch, count, 4)
    check_shape("scales", scales, *batch, count, 3)
    if opacities is not None:
        check_shape("opacities", opacities, *batch, count)
    check_shape("viewmats", viewmats, *batch, cameras, 4, 4)
    lenses = sensors(
        "fully_fused_projection_with_ut", viewmats, Ks, width, height, camera_model, radial_coeffs,
        tangential_coeffs, thin_prism_coeffs, ftheta_coeffs, rolling_shutter, viewmats_rs,
    )  # fmt: skip
    squared = ut_params.alpha**2 * (3.0 + ut_params.kappa)
    if not squared > 0.0:
        raise ValueError(f"ut_params: expected alpha² (3 + kappa) above 0, got {squared}")
    out = Projected.zeros((*batch, cameras, count), calc_compensations)
    _project_unscented(
        view(means, -1, 3),
        view(quats, -1, 4),
        view(scales, -1, 3),
        NO_FLOATS if opacities is None else view(opacities, -1),
        lenses.rows,
        count,
        cameras,
        lenses.model,
        lenses.shutter,
        width,
        height,
        math.sqrt(squared),
        1.0 - 3.0 / squared + (1.0 - ut_params.alpha**2 + ut_params.beta),
        float(ut_params.in_image_margin_factor),
        bool(ut_params.require_all_sigma_points_valid),
        float(eps2d),
        float(near_plane),
        float(far_plane),
        float(radius_clip),
        workers(),
        *out.arrays(),
    )
    return (*out[:4], out.compensations if calc_compensations else None)


def sensors(
    function: str,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    camera_model: CameraModel,
    radial_coeffs: Tensor | None,
    tangential_coeffs: Tensor | None,
    thin_prism_coeffs: Tensor | None,
    ftheta_coeffs: FThetaCameraDistortionParameters | None,
    rolling_shutter: RollingShutterType,
    viewmats_rs: Tensor | None,
) -> Sensors:
    """Check what describes the cameras of ``function`` and put it in rows."""
    if camera_model not in MODELS:
        raise unsupported(
            function, f"camera_model={camera_model!r}", f"it takes {', '.join(MODELS)}; or render without it"
        )
    model, dims = MODELS[camera_model], viewmats.shape[:-2]
    check_shape("Ks", Ks, *dims, 3, 3)
    rows = torch.zeros(*dims, SENSOR, dtype=torch.float64)
    rows[..., :7] = _pose(viewmats)
    rows[..., 7:14] = rows[..., :7]
    if viewmats_rs is not None:
        check_shape("viewmats_rs", viewmats_rs, *dims, 4, 4)
        if rolling_shutter != RollingShutterType.GLOBAL:
            rows[..., 7:14] = _pose(viewmats_rs)
    rows[..., 14], rows[..., 15] = Ks.detach()[..., 0, 0], Ks.detach()[..., 1, 1]
    rows[..., 16:18] = Ks.detach()[..., :2, 2]
    radial = 6 if model == PINHOLE else 4
    # gsplat checks the shapes of what a lens does not use, and then leaves it out.
    for name, coefficients, at, size in (
        ("radial_coeffs", radial_coeffs, 0, radial),
        ("tangential_coeffs", tangential_coeffs, 6, 2),
        ("thin_prism_coeffs", thin_prism_coeffs, 8, 4),
    ):
        if coefficients is not None:
            check_shape(name, coefficients, *dims, size)
            if model == PINHOLE or (model != FTHETA and at == 0):
                rows[..., LENS + at : LENS + at + size] = coefficients.detach()
    if model == FTHETA:
        if ftheta_coeffs is None:
            raise ShapeError("camera_model='ftheta' needs ftheta_coeffs")
        rows[..., LENS:] = _ftheta(ftheta_coeffs)
        rows[..., 16:18] += 0.5
    flat = rows.view(-1, SENSOR).numpy()
    if model == MODELS["fisheye"]:
        flat[:, LENS + 4] = [_widest_angle(row[LENS : LENS + 4]) for row in flat]
    return Sensors(flat, model, rolling_shutter.value, width, height)


def _pose(viewmats: Tensor) -> Tensor:
    """World → camera as quaternion and translation [..., 7]."""
    whole = viewmats.detach().double()
    return torch.cat([rotmat_to_quat(whole[..., :3, :3]), whole[..., :3, 3]], -1)


def _ftheta(lens: FThetaCameraDistortionParameters) -> Tensor:
    exact = lens.reference_poly == FThetaPolynomialType.PIXELDIST_TO_ANGLE
    numbers = (
        *lens.angle_to_pixeldist_poly, *lens.pixeldist_to_angle_poly, float(exact), *lens.linear_cde,
        lens.max_angle,
    )  # fmt: skip
    if len(numbers) != SENSOR - LENS:
        raise ShapeError("ftheta_coeffs: expected two polynomials of 6 coefficients and 3 of linear_cde")
    return torch.tensor(numbers, dtype=torch.float64)


def _widest_angle(k: Array) -> float:
    """The angle up to which a fisheye's polynomial rises, infinite if it always does."""
    slope = np.array([9 * k[3], 7 * k[2], 5 * k[1], 3 * k[0], 1.0])  # in the square of the angle
    if not np.isfinite(slope).all():
        return 0.0
    roots = np.roots(slope)
    flat = roots.real[(abs(roots.imag) < 1e-9 * abs(roots)) & (roots.real > 0)]
    return math.sqrt(flat.min()) if len(flat) else math.inf
