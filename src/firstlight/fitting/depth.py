"""Losses that hold rendered depth against a photo's own, for few views: pictures alone say too little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from firstlight.fitting.terms import View
from firstlight.losses import depth_correlation, depth_l1, depth_smoothness


@dataclass(frozen=True)
class DepthRegularisation:
    """The two terms of DRGS (Chung et al. 2024), on depth in units of its median.

    depth · mean |depth − known depth| + smooth · mean (depth − that of its neighbours away from edges)².
    Known depth is in the scene's scale: stereo's is by itself, a network's is fitted to the sparse points by
    scale and offset when geometry is made. The paper has both terms in scene units.
    """

    depth: float = 0.5
    smooth: float = 1.0
    sees_depth: ClassVar[bool] = True

    def __call__(self, view: View) -> Tensor:
        if view.depth is None:
            return view.alpha.new_zeros(())
        loss = self.smooth * depth_smoothness(view.depth, view.photo, view.mask)
        if view.measured_depth is not None:
            loss = loss + self.depth * depth_l1(view.depth, view.measured_depth, view.mask)
        return loss


@dataclass(frozen=True)
class DepthCorrelation:
    """weight · (1 − Pearson of depth and known depth) over the picture, and over boxes of it (LM-Gaussian).

    Boxes have a side of ``box`` times the picture's shorter one and lie anywhere; there are half as many as
    tile the picture. The paper's are 128 of about 500 pixels. Within a box even a known depth whose scale
    drifts over the picture says which surface is nearer.
    """

    weight: float = 0.1
    local: float = 0.1
    box: float = 0.25
    sees_depth: ClassVar[bool] = True

    def __call__(self, view: View) -> Tensor:
        depth, known = view.depth, view.measured_depth
        if depth is None or known is None:
            return view.alpha.new_zeros(())
        loss = self.weight * depth_correlation(depth, known, view.mask)
        if self.local == 0:
            return loss
        height, width = depth.shape
        side = max(4, round(self.box * min(height, width)))
        count = max(1, (height // side) * (width // side) // 2)
        rows, columns = (_corners(size - side, count, view.generator) for size in (height, width))
        boxes = [(slice(r, r + side), slice(c, c + side)) for r, c in zip(rows, columns, strict=True)]
        local = [
            depth_correlation(depth[box], known[box], None if view.mask is None else view.mask[box])
            for box in boxes
        ]
        return loss + self.local * torch.stack(local).mean()


def _corners(most: int, count: int, generator: torch.Generator) -> list[int]:
    """``count`` random places from 0 to ``most``."""
    drawn: list[int] = torch.randint(0, max(most, 0) + 1, (count,), generator=generator).tolist()
    return drawn
