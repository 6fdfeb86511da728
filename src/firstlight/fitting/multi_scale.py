"""The photometric loss at several sizes of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import avg_pool2d

from firstlight.fitting.terms import View
from firstlight.losses import photometric
from firstlight.scene import KEEP_FROM


@dataclass(frozen=True)
class MultiScale:
    """(1 − w)·Σ_k weights[k]·L1 of the picture shrunk by 2^k, + w·(1 − SSIM) of the whole (CoherentGS).

    The first weight belongs to the full size and is 1. A shrunk pixel counts by the share of it that is kept.
    """

    ssim_weight: float = 0.2
    weights: tuple[float, ...] = (1, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        loss = photometric(view.rendered, view.photo, view.mask, self.ssim_weight)
        difference = (view.rendered - view.photo / 255).permute(2, 0, 1)[None]
        kept = None if view.mask is None else (view.mask >= KEEP_FROM).float()[None, None]
        if kept is not None:
            difference = difference * kept
        for weight in self.weights[1:]:
            if min(difference.shape[-2:]) < 2:
                break
            # Differences shrink just as pictures do, which saves one of the two.
            difference = avg_pool2d(difference, 2)
            share = 1.0
            if kept is not None:
                kept = avg_pool2d(kept, 2)
                share = float(kept.mean())
            loss = loss + (1 - self.ssim_weight) * weight * difference.abs().mean() / max(share, 1e-6)
        return loss
