"""The loss of 3D Gaussian Splatting as one fused operation with its own derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.losses import _kernels
from firstlight.losses._pictures import Rows, as_rows


def photometric(
    rendered: Tensor, photo: Tensor, mask: Tensor | None = None, ssim_weight: float = 0.2
) -> Tensor:
    """``(1 - ssim_weight) * L1 + ssim_weight * (1 - SSIM)``, the loss of Kerbl et al. 2023.

    rendered: [H, W, 3] float32 in [0, 1], may require a gradient; photo: [H, W, 3] uint8;
    mask: [H, W] uint8, 128 and more keep the pixel. Returns a scalar float32 tensor.

    L1 and SSIM are averaged over kept pixels and channels. A masked pixel counts as lying outside of the
    picture: 0 in both pictures, just as beyond their borders, wherever a window of SSIM reaches it. The
    loss therefore does not depend on what is rendered there, and the gradient there is exactly 0. With
    every pixel masked the loss and its gradient are 0.

    ValueError for other shapes or types. The gradient can be taken once (no second derivatives).
    """
    rows = as_rows(rendered, photo, mask)
    if torch.is_grad_enabled() and rendered.requires_grad:
        loss: Tensor = _Photometric.apply(rendered, rows, ssim_weight)  # type: ignore[no-untyped-call]
        return loss
    return rendered.new_tensor(_value(rows, ssim_weight, np.empty((0, 0, 0), np.float32)))


class _Photometric(torch.autograd.Function):
    """The gradient is made along with the value: a scalar loss can only scale it afterwards."""

    @staticmethod
    def forward(ctx: Any, rendered: Tensor, rows: Rows, ssim_weight: float) -> Tensor:
        height, floats = rows.rendered.shape
        partials = np.empty((3, height, floats), np.float32)
        value = _value(rows, ssim_weight, partials)
        gradient = torch.empty_like(rendered, memory_format=torch.contiguous_format)
        if not rows.kept:
            gradient.zero_()
        else:
            count = 3 * rows.kept
            _kernels.differentiate(
                rows.rendered,
                rows.photo,
                rows.mask,
                _kernels.chunks_of(height),
                _kernels.strips_of(floats // 3),
                partials,
                np.float32((1 - ssim_weight) / count),
                np.float32(-ssim_weight / count),
                gradient.numpy().reshape(height, floats),
            )
        ctx.save_for_backward(gradient)
        return rendered.new_tensor(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient if upstream == 1 else gradient * upstream, None, None


def _value(rows: Rows, ssim_weight: float, partials: np.ndarray[Any, Any]) -> float:
    if not rows.kept:
        return 0.0
    l1_sum, ssim_sum = rows.sums(partials)
    count = 3 * rows.kept
    return (1 - ssim_weight) * l1_sum / count + ssim_weight * (1 - ssim_sum / count)
