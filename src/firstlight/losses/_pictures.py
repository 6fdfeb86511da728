"""Pictures as the kernels want them: checked, contiguous, one row of floats a picture row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from firstlight.losses import _kernels
from firstlight.scene import KEEP_FROM


@dataclass(frozen=True)
class Rows:
    """A rendered picture, its photo and mask, as arrays that share the tensors' memory."""

    rendered: _kernels.Floats  # [H, 3W]
    photo: _kernels.Bytes  # [H, 3W]
    mask: _kernels.Bytes  # [H, W], or [0, 0] where nothing is masked
    kept: int  # pixels that count

    def sums(self, partials: _kernels.Floats) -> tuple[float, float]:
        """The sums of |x - y| and of SSIM over kept pixels and channels; fills ``partials`` if not empty."""
        height, floats = self.rendered.shape
        l1_sums = np.empty((height, _kernels.strips_of(floats // 3)))
        ssim_sums = np.empty_like(l1_sums)
        chunks = _kernels.chunks_of(height)
        _kernels.compare(self.rendered, self.photo, self.mask, chunks, partials, l1_sums, ssim_sums)
        return float(l1_sums.sum()), float(ssim_sums.sum())


def as_rows(rendered: Tensor, photo: Tensor, mask: Tensor | None) -> Rows:
    """Check shapes and types and give the arrays. ValueError names what does not fit."""
    if rendered.ndim != 3 or rendered.shape[2] != 3 or rendered.dtype != torch.float32:
        raise ValueError(f"rendered must be [H, W, 3] float32, not {list(rendered.shape)} {rendered.dtype}")
    if photo.shape != rendered.shape or photo.dtype != torch.uint8:
        raise ValueError(
            f"photo must be {list(rendered.shape)} uint8 like the rendered picture, "
            f"not {list(photo.shape)} {photo.dtype}"
        )
    height, width, _ = rendered.shape
    if mask is None:
        kept, mask_rows = height * width, np.empty((0, 0), np.uint8)
    elif mask.shape != (height, width) or mask.dtype != torch.uint8:
        raise ValueError(f"mask must be [{height}, {width}] uint8, not {list(mask.shape)} {mask.dtype}")
    else:
        mask_rows = mask.contiguous().numpy()
        kept = int(np.count_nonzero(mask_rows >= KEEP_FROM))
    return Rows(
        rendered.detach().contiguous().numpy().reshape(height, 3 * width),
        photo.contiguous().numpy().reshape(height, 3 * width),
        mask_rows,
        kept,
    )
