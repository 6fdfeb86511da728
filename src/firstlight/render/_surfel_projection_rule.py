"""How gradients pass through the projection of surfels."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.render import _packing, _surfel_projection_kernels
from firstlight.render._arrays import Array, empty, view, workers, zeros
from firstlight.render._packing import DENSE, Packed, Rows, close_places, packed_rows
from firstlight.render._projection_rule import camera_gradient, sparse_rows

# Without types: mypy cannot count arguments that are unpacked.
_project: Any = _surfel_projection_kernels.project_surfels
_project_backward: Any = _surfel_projection_kernels.project_surfels_backward
_close_up: Any = _packing.close_up


class Window(NamedTuple):
    """What is seen, and how gradients are wanted; no gradient flows to it."""

    width: int
    height: int
    near_plane: float
    far_plane: float
    radius_clip: float
    sparse_grad: bool


class ProjectedSurfels(NamedTuple):
    """Rows of projected surfels, whatever their leading dimensions."""

    radii: Tensor  # [..., 2] int32
    means2d: Tensor  # [..., 2]
    depths: Tensor  # [...]
    ray_transforms: Tensor  # [..., 3, 3]
    normals: Tensor  # [..., 3]

    @staticmethod
    def empty(dims: tuple[int, ...]) -> "ProjectedSurfels":
        """Memory for rows of these dimensions."""
        return ProjectedSurfels(
            torch.empty(*dims, 2, dtype=torch.int32),
            empty(*dims, 2),
            empty(*dims),
            empty(*dims, 3, 3),
            empty(*dims, 3),
        )

    def arrays(self) -> Any:
        """As the kernels take them."""
        widths = ((2,), (2,), (), (9,), (3,))
        return tuple(view(t, -1, *width) for t, width in zip(self, widths, strict=True))


def _scene(means: Tensor, quats: Tensor, scales: Tensor, viewmats: Tensor, Ks: Tensor, window: Window) -> Any:
    """The arguments that both kernels begin with."""
    return (
        view(means, -1, 3),
        view(quats, -1, 4),
        view(scales, -1, 3),
        view(viewmats, -1, 4, 4),
        view(Ks, -1, 3, 3),
        means.shape[-2],
        viewmats.shape[-3],
        window.width,
        window.height,
    )


def _run(scene: Any, images: int, window: Window, out: ProjectedSurfels, ids: Array) -> Array:
    """Fill ``out``; returns how many rows each chunk filled of each image [chunks, I]."""
    filled = np.zeros((workers(), images), np.int64)
    planes = float(window.near_plane), float(window.far_plane), float(window.radius_clip)
    _project(*scene, *planes, *out.arrays(), ids, filled)
    return filled


class ProjectSurfels(torch.autograd.Function):
    """means [..., N, 3], viewmats [..., C, 4, 4] … → radii, means2d, depths, ray_transforms, normals."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        viewmats: Tensor,
        Ks: Tensor,
        window: Window,
    ) -> tuple[Tensor, ...]:
        images = math.prod(viewmats.shape[:-2])
        out = ProjectedSurfels.empty((*viewmats.shape[:-2], means.shape[-2]))
        _run(_scene(means, quats, scales, viewmats, Ks, window), images, window, out, DENSE.ids)
        ctx.save_for_backward(means, quats, scales, viewmats, Ks, out.radii)
        ctx.mark_non_differentiable(out.radii)
        ctx.window, ctx.rows = window, DENSE
        return tuple(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _backward(ctx, *gradients)


class ProjectSurfelsPacked(torch.autograd.Function):
    """As ``ProjectSurfels``, rows packed: batch_ids, camera_ids, gaussian_ids, the rest [nnz, ...].

    ``kept`` is a list that is given the ``Packed``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        viewmats: Tensor,
        Ks: Tensor,
        window: Window,
        kept: list[Packed],
    ) -> tuple[Tensor, ...]:
        count, images = means.shape[-2], math.prod(viewmats.shape[:-2])
        loose, ids = ProjectedSurfels.empty((images * count,)), np.empty(images * count, np.int64)
        filled = _run(_scene(means, quats, scales, viewmats, Ks, window), images, window, loose, ids)
        places, starts = close_places(filled)
        rows = Rows(starts, np.empty(starts[-1], np.int64))
        out = ProjectedSurfels.empty((int(starts[-1]),))
        _close_up(filled, places, count, ids, *loose.arrays(), rows.ids, *out.arrays())
        packed = packed_rows(rows.starts, rows.ids, viewmats.shape[-3])
        kept.append(packed)
        ctx.save_for_backward(means, quats, scales, viewmats, Ks, out.radii)
        numbers = packed.batch_ids, packed.camera_ids, packed.gaussian_ids
        ctx.mark_non_differentiable(*numbers, out.radii)
        ctx.window, ctx.rows = window, rows
        return (*numbers, *out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (*_backward(ctx, *gradients[3:]), None)


def _backward(
    ctx: Any, _: Tensor, v_means2d: Tensor, v_depths: Tensor, v_ray_transforms: Tensor, v_normals: Tensor
) -> tuple[Tensor | None, ...]:
    means, quats, scales, viewmats, Ks, radii = ctx.saved_tensors
    window: Window = ctx.window
    rows: Rows = ctx.rows
    sparse, images = window.sparse_grad, math.prod(viewmats.shape[:-2])
    values = [zeros(*((len(rows.ids), t.shape[-1]) if sparse else t.shape)) for t in (means, quats, scales)]
    v_camera = np.empty((workers(), images if ctx.needs_input_grad[3] else 0, 12))
    _project_backward(
        *_scene(means, quats, scales, viewmats, Ks, window),
        rows.starts,
        rows.ids,
        view(radii, -1, 2),
        view(v_means2d, -1, 2),
        view(v_depths, -1),
        view(v_ray_transforms, -1, 9),
        view(v_normals, -1, 3),
        sparse,
        *(view(v, -1, v.shape[-1]) for v in values),
        v_camera,
    )
    v_viewmats = camera_gradient(v_camera, viewmats) if ctx.needs_input_grad[3] else None
    if sparse:
        values = [sparse_rows(v, rows.ids, means.shape[0], images == 1) for v in values]
    return (*values, v_viewmats, None, None)
