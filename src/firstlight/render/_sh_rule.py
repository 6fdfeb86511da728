"""How gradients pass through spherical harmonics."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.render import _sh_kernels
from firstlight.render._arrays import Array, empty, view, workers
from firstlight.render._packing import Rows

# Without types: mypy cannot count arguments that are unpacked.
_evaluate: Any = _sh_kernels.evaluate
_evaluate_backward: Any = _sh_kernels.evaluate_backward
_ALL: Array = np.empty(0, np.int32)


class Shading(NamedTuple):
    """What is evaluated: max(floor, offset + SH up to ``degree``), and for which rows."""

    degree: int
    offset: float
    floor: float
    rows: Rows


class Shade(torch.autograd.Function):
    """points [..., N, 3], origins [..., C, 3], coeffs [..., (C,) N, K, 3] → colours [..., C, N, 3].

    Where rows are packed: [nnz, 3]. ``visible`` is int32 with one or more entries for each of the colours;
    the first decides.
    """

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, origins: Tensor, coeffs: Tensor, visible: Tensor | None, shading: Shading
    ) -> Tensor:
        packed = len(shading.rows.starts) > 0
        dims = (len(shading.rows.ids),) if packed else (*origins.shape[:-1], points.shape[-2])
        colors = empty(*dims, 3)
        step = 1 if visible is None else visible.numel() // max(math.prod(dims), 1)
        _evaluate(
            *_scene(points, origins, coeffs, visible, step, shading),
            shading.offset,
            shading.floor,
            view(colors, -1, 3),
            workers(),
        )
        ctx.save_for_backward(points, origins, coeffs, visible, colors)
        ctx.settings = step, shading
        return colors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_colors: Tensor) -> tuple[Tensor | None, ...]:
        points, origins, coeffs, visible, colors = ctx.saved_tensors
        step, shading = ctx.settings
        v_points, v_coeffs = empty(*points.shape), empty(*coeffs.shape)
        if origins.numel() == 0:
            v_points.zero_()
            v_coeffs.zero_()
        v_origins = np.empty((workers(), math.prod(origins.shape[:-1]), 3))
        _evaluate_backward(
            *_scene(points, origins, coeffs, visible, step, shading),
            shading.floor,
            view(colors, -1, 3),
            view(v_colors, -1, 3),
            view(v_points, -1, 3),
            v_origins,
            view(v_coeffs, -1, *coeffs.shape[-2:]),
        )
        summed = torch.from_numpy(v_origins.sum(0)).to(origins.dtype).view(origins.shape)
        return v_points, summed, v_coeffs, None, None


def _scene(
    points: Tensor, origins: Tensor, coeffs: Tensor, visible: Tensor | None, step: int, shading: Shading
) -> Any:
    """The arguments that both kernels begin with."""
    return (
        view(points, -1, 3),
        view(origins, -1, 3),
        view(coeffs, -1, *coeffs.shape[-2:]),
        _ALL if visible is None else view(visible, -1),
        step,
        *shading.rows,
        points.shape[-2],
        origins.shape[-2],
        coeffs.dim() == points.dim() + 2,
        shading.degree,
    )
