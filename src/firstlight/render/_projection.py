"""Gaussians into the picture plane."""

from typing import Literal

from torch import Tensor

from firstlight.render._arrays import check_shape, differentiable
from firstlight.render._errors import unsupported
from firstlight.render._projection_rule import Lens, Project

CameraModel = Literal["pinhole", "ortho", "fisheye", "ftheta"]


def fully_fused_projection(
    means: Tensor,  # [N, 3]
    covars: Tensor | None,  # [N, 6]
    quats: Tensor | None,  # [N, 4]
    scales: Tensor | None,  # [N, 3]
    viewmats: Tensor,  # [C, 4, 4]
    Ks: Tensor,  # [C, 3, 3]
    width: int,
    height: int,
    eps2d: float = 0.3,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    packed: bool = False,
    sparse_grad: bool = False,
    calc_compensations: bool = False,
    camera_model: CameraModel = "pinhole",
    opacities: Tensor | None = None,  # [N]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Project Gaussians through C pinhole cameras (EWA splatting, Zwicker et al. 2001; gsplat's interface).

    Lengths are scene units, results pixels with centres at +0.5. ``quats`` are w first and of any length.
    ``eps2d`` (px²) is added to both variances. With ``opacities`` the extent ends where alpha reaches
    1/255. Gradients flow to means, quats, scales and viewmats.

    Returns radii [C, N, 2] int32 (0: not seen), means2d [C, N, 2], depths [C, N], conics [C, N, 3] (upper
    triangle of the inverse covariance, 1/px²) and, with ``calc_compensations``, the antialiasing factor
    √(det Σ / det(Σ + ε I)) [C, N], else None. Rows that are not seen hold zeros; what is behind the near
    plane, not finite or of no opacity is not seen.

    Raises ValueError for wrong shapes, NotImplementedError for covars, packed, sparse_grad and cameras other
    than pinhole.
    """
    if covars is not None or quats is None or scales is None:
        raise unsupported("fully_fused_projection", "covars", "give quats and scales")
    if packed or sparse_grad:
        raise unsupported("fully_fused_projection", "packed", "rasterization() packs after projecting")
    if camera_model != "pinhole":
        raise unsupported("fully_fused_projection", f"camera_model={camera_model!r}", "use pinhole")
    count, images = means.shape[0], viewmats.shape[0]
    check_shape("means", means, count, 3)
    check_shape("quats", quats, count, 4)
    check_shape("scales", scales, count, 3)
    check_shape("viewmats", viewmats, images, 4, 4)
    check_shape("Ks", Ks, images, 3, 3)
    if opacities is not None:
        check_shape("opacities", opacities, count)
    lens = Lens(width, height, eps2d, near_plane, far_plane, radius_clip, calc_compensations)
    radii, means2d, depths, conics, compensations = differentiable(
        Project, means, quats, scales, viewmats, Ks, opacities, lens
    )
    return radii, means2d, depths, conics, compensations if calc_compensations else None
