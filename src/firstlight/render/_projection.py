"""Gaussians into the picture plane."""

from typing import Any, Literal

from torch import Tensor

from firstlight.render._arrays import check_shape, differentiable
from firstlight.render._errors import ShapeError, unsupported
from firstlight.render._gsplat import cuda_by_gsplat
from firstlight.render._packing import Packed
from firstlight.render._projection_lenses import MODELS
from firstlight.render._projection_rule import Lens, Project, ProjectPacked

CameraModel = Literal["pinhole", "ortho", "fisheye", "ftheta", "equirectangular"]


@cuda_by_gsplat
def fully_fused_projection(
    means: Tensor,  # [..., N, 3]
    covars: Tensor | None,  # [..., N, 6]
    quats: Tensor | None,  # [..., N, 4]
    scales: Tensor | None,  # [..., N, 3]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]
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
    opacities: Tensor | None = None,  # [..., N]
) -> Any:
    """Project N Gaussians through C cameras (EWA splatting, Zwicker et al. 2001; gsplat's interface).

    Lengths are scene units, results pixels with centres at +0.5. A Gaussian's shape is given by ``covars``
    (upper triangle, row by row) or by ``quats`` (w first, of any length) and ``scales``. ``eps2d`` (px²) is
    added to both variances. With ``opacities`` the extent ends where alpha reaches 1/255. Gradients flow to
    means, covars, quats, scales and viewmats.

    Camera models: pinhole; ortho (x and y times the focal lengths); fisheye (equidistant: pixels from the
    principal point = focal length × angle from the axis); equirectangular (firstlight's own: the whole
    sphere, +z in the middle; Ks is not used, depths, near and far are distances). An equirectangular splat
    that reaches over the picture's left or right border is cut there, not continued at the other; near the
    poles, where a straight line is strongly bent, its shape is that at its centre.

    Returns radii [..., C, N, 2] int32 (0: not seen), means2d [..., C, N, 2], depths [..., C, N], conics
    [..., C, N, 3] (upper triangle of the inverse covariance, 1/px²) and, with ``calc_compensations``, the
    antialiasing factor √(det Σ / det(Σ + ε I)) [..., C, N], else None. Rows that are not seen hold zeros;
    what is nearer than the near plane, not finite or of no opacity is not seen.

    ``packed`` leaves out what is not seen: batch_ids, camera_ids and gaussian_ids [nnz] int64, in this order,
    then the same with [nnz] in place of [..., C, N]. With ``sparse_grad`` (packed, no batches) gradients of
    means, covars, quats and scales are sparse COO tensors.

    Raises ShapeError (a ValueError and an AssertionError) for inputs that do not fit, TypeError unless all
    are float32 on the CPU, NotImplementedError for camera_model="ftheta".
    """
    projected, rows = project(
        means, covars, quats, scales, viewmats, Ks, width, height, eps2d, near_plane, far_plane,
        radius_clip, packed, sparse_grad, calc_compensations, camera_model, opacities,
    )  # fmt: skip
    compensations = projected[-1] if calc_compensations else None
    if rows is None:
        return (*projected[:-1], compensations)
    return (rows.batch_ids, rows.camera_ids, rows.gaussian_ids, *projected[:-1], compensations)


def project(
    means: Tensor,
    covars: Tensor | None,
    quats: Tensor | None,
    scales: Tensor | None,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    eps2d: float,
    near_plane: float,
    far_plane: float,
    radius_clip: float,
    packed: bool,
    sparse_grad: bool,
    calc_compensations: bool,
    camera_model: CameraModel,
    opacities: Tensor | None,
) -> tuple[tuple[Tensor, ...], Packed | None]:
    """``fully_fused_projection``: radii, means2d, depths, conics, compensations, and the rows if packed."""
    _check(means, covars, quats, scales, viewmats, Ks, opacities)
    if sparse_grad and not packed:
        raise ShapeError("sparse_grad needs packed=True")
    if sparse_grad and means.dim() > 2:
        raise ShapeError(f"sparse_grad takes no batch dimensions, got means {list(means.shape)}")
    if covars is not None:
        quats, scales = None, None
    lens = Lens(
        _model(camera_model), width, height, eps2d, near_plane, far_plane, radius_clip, calc_compensations,
        sparse_grad,
    )  # fmt: skip
    gaussians = (means, covars, quats, scales, viewmats, Ks, opacities, lens)
    if not packed:
        return differentiable(Project, *gaussians), None
    kept: list[Packed] = []
    out: tuple[Tensor, ...] = differentiable(ProjectPacked, *gaussians, kept)
    return out[3:], kept[0]


def _model(camera_model: str) -> int:
    if camera_model == "ftheta":
        raise unsupported(
            "fully_fused_projection",
            "camera_model='ftheta'",
            "use with_ut=True, or fully_fused_projection_with_ut",
        )
    if camera_model not in MODELS:
        raise ValueError(f"camera_model: expected one of {', '.join(MODELS)}, got {camera_model!r}")
    return MODELS[camera_model]


def _check(
    means: Tensor,
    covars: Tensor | None,
    quats: Tensor | None,
    scales: Tensor | None,
    viewmats: Tensor,
    Ks: Tensor,
    opacities: Tensor | None,
) -> None:
    if means.dim() < 2 or viewmats.dim() < 3:
        raise ShapeError(
            f"expected means [..., N, 3] and viewmats [..., C, 4, 4], got {list(means.shape)} and "
            f"{list(viewmats.shape)}"
        )
    batch, count, cameras = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    check_shape("means", means, *batch, count, 3)
    if covars is not None:
        check_shape("covars", covars, *batch, count, 6)
    elif quats is None or scales is None:
        raise ShapeError("expected covars, or quats and scales")
    else:
        check_shape("quats", quats, *batch, count, 4)
        check_shape("scales", scales, *batch, count, 3)
    check_shape("viewmats", viewmats, *batch, cameras, 4, 4)
    check_shape("Ks", Ks, *batch, cameras, 3, 3)
    if opacities is not None:
        check_shape("opacities", opacities, *batch, count)
