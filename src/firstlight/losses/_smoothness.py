"""How uneven rendered depth is where the photo shows no edge."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from firstlight.scene import KEEP_FROM

_CANNY = (50, 150)  # DRGS's thresholds, for 8-bit grey


def depth_smoothness(depth: Tensor, photo: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference of ``depth`` [H, W] from the mean of a pixel and its four neighbours.

    Only pixels that are no Canny edges of ``photo`` [H, W, 3] uint8 count, as themselves and as neighbours,
    so that depth may jump where the picture does; ``mask`` [H, W] uint8 below 128 and depth 0 count neither.
    Divided by the squared median of the depths that count, so that it does not depend on the unit of the
    scene; DRGS (Chung et al. 2024) has it undivided. Returns a scalar, 0 where nothing counts.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(photo.numpy()), cv2.COLOR_RGB2GRAY)
    counts = torch.from_numpy(cv2.Canny(grey, *_CANNY)) == 0
    counts &= depth.detach() > 0
    if mask is not None:
        counts &= mask >= KEEP_FROM
    if not counts.any():
        return depth.new_zeros(())
    weight = counts.to(depth.dtype)
    near = _cross(depth * weight) / _cross(weight).clamp(min=1)
    size = depth.detach()[counts].median()
    return ((depth - near)[counts] / size).square().mean()


def _cross(values: Tensor) -> Tensor:
    """Sum over each pixel [H, W] and its four neighbours; nothing lies beyond the borders."""
    padded = pad(values, (1, 1, 1, 1))
    sideways = padded[1:-1, :-2] + padded[1:-1, 2:]
    return values + sideways + padded[:-2, 1:-1] + padded[2:, 1:-1]
