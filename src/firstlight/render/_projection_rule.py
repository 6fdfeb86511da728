"""How gradients pass through projection."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.render import _packing, _projection_kernels
from firstlight.render._arrays import NO_FLOATS, Array, empty, view, workers, zeros
from firstlight.render._packing import DENSE, Packed, Rows, close_places, packed_rows
from firstlight.render._projection_lenses import PINHOLE

# Without types: mypy cannot count arguments that are unpacked.
_project: Any = _projection_kernels.project
_project_backward: Any = _projection_kernels.project_backward
_close_up: Any = _packing.close_up


class Lens(NamedTuple):
    """What projection needs to know and no gradient flows to."""

    model: int
    width: int
    height: int
    eps2d: float
    near_plane: float
    far_plane: float
    radius_clip: float
    compensate: bool
    sparse_grad: bool = False


class Projected(NamedTuple):
    """Rows of projected splats, whatever their leading dimensions."""

    radii: Tensor  # [..., 2] int32
    means2d: Tensor  # [..., 2]
    depths: Tensor  # [...]
    conics: Tensor  # [..., 3]
    compensations: Tensor  # [...], or empty

    @staticmethod
    def empty(dims: tuple[int, ...], compensate: bool) -> "Projected":
        """Memory for rows of these dimensions."""
        return Projected(
            torch.empty(*dims, 2, dtype=torch.int32),
            empty(*dims, 2),
            empty(*dims),
            empty(*dims, 3),
            empty(*(dims if compensate else (0,))),
        )

    @staticmethod
    def zeros(dims: tuple[int, ...], compensate: bool) -> "Projected":
        """The same, filled with what says that nothing is seen."""
        return Projected(*(t.zero_() for t in Projected.empty(dims, compensate)))

    def arrays(self) -> Any:
        """As the kernels take them."""
        widths = ((2,), (2,), (), (3,), ())
        return tuple(
            view(t, -1, *width) if width else view(t, -1) for t, width in zip(self, widths, strict=True)
        )


def _maybe(tensor: Tensor | None, width: int) -> Array:
    return np.empty((0, width), np.float32) if tensor is None else view(tensor, -1, width)


def _tag(lens: Lens, covars: Tensor | None) -> tuple[int, ...]:
    """The type that picks the kernel."""
    return () if lens.model == PINHOLE and covars is None else (0,)


def _gaussians(means: Tensor, quats: Tensor | None, scales: Tensor | None, covars: Tensor | None) -> Any:
    return view(means, -1, 3), _maybe(quats, 4), _maybe(scales, 3), _maybe(covars, 6)


def _run(
    means: Tensor,
    covars: Tensor | None,
    quats: Tensor | None,
    scales: Tensor | None,
    viewmats: Tensor,
    Ks: Tensor,
    opacities: Tensor | None,
    lens: Lens,
    out: Projected,
    ids: Array,
) -> Array:
    """Fill ``out``; returns how many rows each chunk filled of each image [chunks, I]."""
    images = math.prod(viewmats.shape[:-2])
    filled = np.zeros((workers(), images), np.int64)
    _project(
        *_gaussians(means, quats, scales, covars),
        NO_FLOATS if opacities is None else view(opacities, -1),
        view(viewmats, -1, 4, 4),
        view(Ks, -1, 3, 3),
        means.shape[-2],
        viewmats.shape[-3],
        _tag(lens, covars),
        lens.model,
        lens.width,
        lens.height,
        float(lens.eps2d),
        float(lens.near_plane),
        float(lens.far_plane),
        float(lens.radius_clip),
        *out.arrays(),
        ids,
        filled,
    )
    return filled


class Project(torch.autograd.Function):
    """means [..., N, 3], viewmats [..., C, 4, 4] … → radii, means2d, depths, conics, compensations."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        covars: Tensor | None,
        quats: Tensor | None,
        scales: Tensor | None,
        viewmats: Tensor,
        Ks: Tensor,
        opacities: Tensor | None,
        lens: Lens,
    ) -> tuple[Tensor, ...]:
        out = Projected.empty((*viewmats.shape[:-2], means.shape[-2]), lens.compensate)
        _run(means, covars, quats, scales, viewmats, Ks, opacities, lens, out, DENSE.ids)
        ctx.save_for_backward(
            means, covars, quats, scales, viewmats, Ks, out.radii, out.conics, out.compensations
        )
        ctx.mark_non_differentiable(out.radii)
        ctx.lens, ctx.rows = lens, DENSE
        return tuple(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _backward(ctx, *gradients)


class ProjectPacked(torch.autograd.Function):
    """As ``Project``, rows packed: batch_ids, camera_ids, gaussian_ids, the rest [nnz, ...].

    ``kept`` is a list that is given the ``Packed``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        covars: Tensor | None,
        quats: Tensor | None,
        scales: Tensor | None,
        viewmats: Tensor,
        Ks: Tensor,
        opacities: Tensor | None,
        lens: Lens,
        kept: list[Packed],
    ) -> tuple[Tensor, ...]:
        count, images = means.shape[-2], math.prod(viewmats.shape[:-2])
        loose, ids = Projected.empty((images * count,), lens.compensate), np.empty(images * count, np.int64)
        filled = _run(means, covars, quats, scales, viewmats, Ks, opacities, lens, loose, ids)
        places, starts = close_places(filled)
        rows = Rows(starts, np.empty(starts[-1], np.int64))
        out = Projected.empty((int(starts[-1]),), lens.compensate)
        _close_up(filled, places, count, ids, *loose.arrays(), rows.ids, *out.arrays())
        packed = packed_rows(rows.starts, rows.ids, viewmats.shape[-3])
        kept.append(packed)
        ctx.save_for_backward(
            means, covars, quats, scales, viewmats, Ks, out.radii, out.conics, out.compensations
        )
        numbers = packed.batch_ids, packed.camera_ids, packed.gaussian_ids
        ctx.mark_non_differentiable(*numbers, out.radii)
        ctx.lens, ctx.rows = lens, rows
        return (*numbers, *out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (*_backward(ctx, *gradients[3:]), None)


def _backward(
    ctx: Any, _: Tensor, v_means2d: Tensor, v_depths: Tensor, v_conics: Tensor, v_compensations: Tensor
) -> tuple[Tensor | None, ...]:
    means, covars, quats, scales, viewmats, Ks, radii, conics, compensations = ctx.saved_tensors
    lens: Lens = ctx.lens
    rows: Rows = ctx.rows
    sparse = lens.sparse_grad
    images = math.prod(viewmats.shape[:-2])
    values = [
        None if t is None else empty(*((len(rows.ids), t.shape[-1]) if sparse else t.shape))
        for t in (means, covars, quats, scales)
    ]
    v_camera = np.empty((workers(), images if ctx.needs_input_grad[4] else 0, 12))
    v_means, v_covars, v_quats, v_scales = values
    assert v_means is not None
    if images == 0:  # no camera, no thread that clears
        for value in values:
            if value is not None:
                value.zero_()
    _project_backward(
        *_gaussians(means, quats, scales, covars),
        view(viewmats, -1, 4, 4),
        view(Ks, -1, 3, 3),
        means.shape[-2],
        viewmats.shape[-3],
        _tag(lens, covars),
        lens.model,
        lens.width,
        lens.height,
        float(lens.eps2d),
        rows.starts,
        rows.ids,
        view(radii, -1, 2),
        view(conics, -1, 3),
        view(compensations, -1),
        view(v_means2d, -1, 2),
        view(v_depths, -1),
        view(v_conics, -1, 3),
        view(v_compensations, -1),
        sparse,
        view(v_means, -1, 3),
        _maybe(v_quats, 4),
        _maybe(v_scales, 3),
        _maybe(v_covars, 6),
        v_camera,
    )
    v_viewmats = None
    if ctx.needs_input_grad[4]:
        v_viewmats = camera_gradient(v_camera, viewmats)
    if sparse:
        values = [
            None if v is None else sparse_rows(v, rows.ids, means.shape[0], images == 1) for v in values
        ]
    return (*values, v_viewmats, None, None, None)


def camera_gradient(sums: Array, viewmats: Tensor) -> Tensor:
    """Gradient of the cameras from each chunk's sums [chunks, I, 12]: W row by row, then t."""
    whole = torch.from_numpy(sums.sum(0)).to(viewmats.dtype)
    gradient = zeros(len(whole), 4, 4)
    gradient[:, :3, :3] = whole[:, :9].view(-1, 3, 3)
    gradient[:, :3, 3] = whole[:, 9:]
    return gradient.view(viewmats.shape)


def sparse_rows(values: Tensor, ids: Array, count: int, alone: bool) -> Tensor:
    """Rows as a sparse tensor [count, ...]; those of one camera alone rise, and none comes twice."""
    return torch.sparse_coo_tensor(
        torch.from_numpy(ids)[None],
        values,
        (count, *values.shape[1:]),
        is_coalesced=alone,
        check_invariants=False,
    )
