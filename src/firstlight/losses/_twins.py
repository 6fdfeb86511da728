"""The photometric loss in plain torch, slow and obvious: what tests hold the kernels to."""

from __future__ import annotations

import torch
from torch import Tensor

from firstlight.losses import _kernels
from firstlight.losses._l1 import l1
from firstlight.scene import KEEP_FROM


def photometric_twin(
    rendered: Tensor, photo: Tensor, mask: Tensor | None = None, ssim_weight: float = 0.2
) -> Tensor:
    """:func:`photometric` for any float type, differentiable as often as torch likes."""
    similarity = ssim_map_twin(rendered, photo, mask)  # [H, W, 3]
    if mask is None:
        dissimilarity = 1 - similarity.mean()
    else:
        keep = mask >= KEEP_FROM
        dissimilarity = (1 - similarity[keep]).sum() / max(1, 3 * int(keep.sum()))
    return (1 - ssim_weight) * l1(rendered, photo, mask) + ssim_weight * dissimilarity


def ssim_map_twin(rendered: Tensor, photo: Tensor, mask: Tensor | None = None) -> Tensor:
    """SSIM of every pixel and channel  # [H, W, 3]; masked pixels are 0 in both pictures."""
    x, y = rendered, photo.to(rendered.dtype) / 255
    if mask is not None:
        keep = (mask >= KEEP_FROM)[..., None]
        x, y = torch.where(keep, x, 0), torch.where(keep, y, 0)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    return ((2 * mean_x * mean_y + _kernels.C1) * (2 * covariance + _kernels.C2)) / (
        (mean_x**2 + mean_y**2 + _kernels.C1) * (variance_x + variance_y + _kernels.C2)
    )


def _blur(picture: Tensor) -> Tensor:
    """Gaussian blur with zeros beyond the borders; picture and result [H, W, 3]."""
    window = torch.from_numpy(_kernels.gaussian_window()).to(picture.dtype)
    kernel = torch.outer(window, window).expand(3, 1, -1, -1)
    planes = picture.permute(2, 0, 1)[None]  # [1, 3, H, W]
    blurred = torch.nn.functional.conv2d(planes, kernel, padding=_kernels.RADIUS, groups=3)
    return blurred[0].permute(1, 2, 0)
