"""Colour that depends on where it is seen from."""

import math

import torch
from torch import Tensor

from firstlight.render._arrays import check_shape, differentiable, zeros
from firstlight.render._errors import ShapeError
from firstlight.render._gsplat import cuda_by_gsplat
from firstlight.render._packing import DENSE, Rows
from firstlight.render._sh_rule import Shade, Shading
from firstlight.scene.sh import MAX_DEGREE


def _check_degree(degree: int, coefficients: int) -> None:
    if not 0 <= degree <= MAX_DEGREE or (degree + 1) ** 2 > coefficients:
        raise ShapeError(
            f"degree {degree} of spherical harmonics: expected 0 to {MAX_DEGREE} and (degree + 1)² at most "
            f"the {coefficients} coefficients given"
        )


@cuda_by_gsplat
def spherical_harmonics(
    degrees_to_use: int,
    dirs: Tensor,  # [..., 3]
    coeffs: Tensor,  # [..., K, 3]
    masks: Tensor | None = None,  # [...]
) -> Tensor:
    """Evaluate spherical harmonics up to ``degrees_to_use`` (0 to 4) in directions of any length.

    Basis of Kerbl et al. 2023, as in ``firstlight.scene.sh``. Returns [..., 3]; zeros where ``masks`` (bool)
    is False. Gradients flow to ``dirs`` and ``coeffs``. ShapeError for wrong shapes or degree.
    """
    batch = dirs.shape[:-1]
    _check_degree(degrees_to_use, coeffs.shape[-2])
    check_shape("dirs", dirs, *batch, 3)
    check_shape("coeffs", coeffs, *batch, coeffs.shape[-2], 3)
    if masks is not None and masks.shape != batch:
        raise ShapeError(f"masks: expected shape {list(batch)}, got {list(masks.shape)}")
    colors: Tensor = differentiable(
        Shade,
        dirs.reshape(-1, 3),
        zeros(1, 3),
        coeffs.reshape(-1, *coeffs.shape[-2:]),
        None if masks is None else masks.to(torch.int32),
        Shading(degrees_to_use, 0.0, -math.inf, DENSE),
    )
    return colors.view(*batch, 3)


def view_colors(
    means: Tensor,  # [..., N, 3]
    viewmats: Tensor,  # [..., C, 4, 4]
    sh: Tensor,  # [..., (C,) N, K, 3]
    degree: int,
    radii: Tensor,  # [..., C, N, 2] int32, or [nnz, 2]
    rows: Rows = DENSE,
    viewmats_rs: Tensor | None = None,  # [..., C, 4, 4]
) -> Tensor:
    """Colours max(0, ½ + SH) [..., C, N, 3], or [nnz, 3]; zeros where ``radii`` are 0.

    Cameras that move to ``viewmats_rs`` look from half-way. Gradients flow to means, viewmats and sh.
    """
    _check_degree(degree, sh.shape[-2])
    centers = torch.inverse(viewmats)[..., :3, 3]
    if viewmats_rs is not None:
        centers = 0.5 * (centers + torch.inverse(viewmats_rs)[..., :3, 3])
    colors: Tensor = differentiable(Shade, means, centers, sh, radii, Shading(degree, 0.5, 0.0, rows))
    return colors
