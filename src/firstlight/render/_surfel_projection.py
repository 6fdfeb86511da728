"""Surfels (2D Gaussians) into the picture plane."""

from typing import Any

from torch import Tensor

from firstlight.render._arrays import check_shape, differentiable
from firstlight.render._errors import ShapeError
from firstlight.render._gsplat import cuda_by_gsplat
from firstlight.render._packing import Packed
from firstlight.render._surfel_projection_rule import ProjectSurfels, ProjectSurfelsPacked, Window


@cuda_by_gsplat
def fully_fused_projection_2dgs(
    means: Tensor,  # [..., N, 3]
    quats: Tensor,  # [..., N, 4]
    scales: Tensor,  # [..., N, 3]
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
) -> Any:
    """Project N surfels through C pinhole cameras (2DGS, Huang et al. 2024; gsplat's interface).

    A surfel is flat: ``quats`` (w first, of any length) turn its plane, the first two of ``scales`` are its
    standard deviations in it, the third is not used. Lengths are scene units, results pixels with centres at
    +0.5. ``eps2d`` is taken and not used, as in gsplat. Gradients flow to means, quats, scales and viewmats.

    Returns radii [..., C, N, 2] int32 (3.33 standard deviations; 0: not seen), means2d [..., C, N, 2] (the
    middle of the picture of one standard deviation, which is not quite that of the centre), depths
    [..., C, N], ray_transforms [..., C, N, 3, 3] (from the surfel's plane, in standard deviations, to
    homogeneous pixels) and normals [..., C, N, 3] in camera axes, turned to the camera. Rows that are not
    seen hold zeros; what is not between the near and the far plane or not finite is not seen.

    ``packed`` leaves out what is not seen: batch_ids, camera_ids and gaussian_ids [nnz] int64, in this order,
    then the same with [nnz] in place of [..., C, N]. With ``sparse_grad`` (packed, no batches) gradients of
    means, quats and scales are sparse COO tensors.

    Raises ShapeError (a ValueError and an AssertionError) for inputs that do not fit, TypeError unless all
    are float32 on the CPU.
    """
    projected, rows = project_surfels(
        means, quats, scales, viewmats, Ks, width, height, near_plane, far_plane, radius_clip, packed,
        sparse_grad,
    )  # fmt: skip
    return projected if rows is None else (rows.batch_ids, rows.camera_ids, rows.gaussian_ids, *projected)


def project_surfels(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    near_plane: float,
    far_plane: float,
    radius_clip: float,
    packed: bool,
    sparse_grad: bool,
) -> tuple[tuple[Tensor, ...], Packed | None]:
    """``fully_fused_projection_2dgs``: radii, means2d, depths, transforms, normals; the rows if packed."""
    if means.dim() < 2 or viewmats.dim() < 3:
        raise ShapeError(
            f"expected means [..., N, 3] and viewmats [..., C, 4, 4], got {list(means.shape)} and "
            f"{list(viewmats.shape)}"
        )
    batch, count, cameras = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    check_shape("means", means, *batch, count, 3)
    check_shape("quats", quats, *batch, count, 4)
    check_shape("scales", scales, *batch, count, 3)
    check_shape("viewmats", viewmats, *batch, cameras, 4, 4)
    check_shape("Ks", Ks, *batch, cameras, 3, 3)
    if sparse_grad and not packed:
        raise ShapeError("sparse_grad needs packed=True")
    if sparse_grad and batch:
        raise ShapeError(f"sparse_grad takes no batch dimensions, got means {list(means.shape)}")
    window = Window(width, height, near_plane, far_plane, radius_clip, sparse_grad)
    if not packed:
        return differentiable(ProjectSurfels, means, quats, scales, viewmats, Ks, window), None
    kept: list[Packed] = []
    out: tuple[Tensor, ...] = differentiable(
        ProjectSurfelsPacked, means, quats, scales, viewmats, Ks, window, kept
    )
    return out[3:], kept[0]
