"""How gradients pass through spherical harmonics."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.render import _sh_kernels as kernels
from firstlight.render._arrays import Array, view, workers

_ALL: Array = np.empty(0, np.int32)


class Shade(torch.autograd.Function):
    """points [N, 3], origins [C, 3], coeffs [(C,) N, K, 3] → colours [C, N, 3].

    ``visible`` is int32 with one or more entries for each of the C · N colours; the first decides.
    """

    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        origins: Tensor,
        coeffs: Tensor,
        visible: Tensor | None,
        degree: int,
        offset: float,
        floor: float,
    ) -> Tensor:
        count, images = len(points), len(origins)
        colors = torch.empty(images, count, 3)
        step = 1 if visible is None else visible.numel() // max(images * count, 1)
        kernels.evaluate(
            view(points, -1, 3),
            view(origins, -1, 3),
            view(coeffs, -1, coeffs.shape[-2], 3),
            _ALL if visible is None else view(visible, -1),
            step,
            degree,
            offset,
            floor,
            colors.numpy(),
            workers(),
        )
        ctx.save_for_backward(points, origins, coeffs, visible, colors)
        ctx.settings = step, degree, floor
        return colors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_colors: Tensor) -> tuple[Tensor | None, ...]:
        points, origins, coeffs, visible, colors = ctx.saved_tensors
        step, degree, floor = ctx.settings
        v_points, v_coeffs = torch.empty(len(points), 3), torch.empty(coeffs.shape)
        v_origins = np.empty((workers(), len(origins), 3))
        kernels.evaluate_backward(
            view(points, -1, 3),
            view(origins, -1, 3),
            view(coeffs, -1, coeffs.shape[-2], 3),
            _ALL if visible is None else view(visible, -1),
            step,
            degree,
            floor,
            colors.numpy(),
            view(v_colors, *colors.shape),
            v_points.numpy(),
            v_origins,
            v_coeffs.view(-1, coeffs.shape[-2], 3).numpy(),
        )
        summed = torch.from_numpy(v_origins.sum(0)).to(origins.dtype)
        return v_points, summed, v_coeffs, None, None, None, None
