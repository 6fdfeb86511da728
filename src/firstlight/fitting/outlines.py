"""Losses for a single object: its photos' masks are its outline, and there is nothing outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from firstlight.fitting.terms import View
from firstlight.losses import photometric
from firstlight.scene import KEEP_FROM

MARGIN = 8  # pixels around the outline: the window of SSIM is as wide


@dataclass(frozen=True)
class Outlined:
    """``Photometric`` of the object before a background of one random colour, cut out around the outline.

    The colour is new in every step: what is to look right before all must be as opaque as the object, and as
    empty around it. It takes the place of a background that the capture has. A photo without a mask counts as
    it is.
    """

    ssim_weight: float = 0.2
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        if view.mask is None:
            return photometric(view.rendered, view.photo, None, self.ssim_weight)
        behind = torch.randint(0, 256, (3,), dtype=torch.uint8, generator=view.generator)
        window = _window(view.mask)
        instead = behind / 255 if view.background is None else behind / 255 - view.background
        rendered = view.rendered + (1 - view.alpha[..., None]) * instead
        photo = torch.where((view.mask >= KEEP_FROM)[..., None], view.photo, behind)
        return photometric(rendered[window], photo[window], None, self.ssim_weight)


@dataclass(frozen=True)
class Silhouette:
    """weight · mean |alpha − mask| over the picture; nothing without a mask (SGPose, arXiv 2409.02581)."""

    weight: float = 0.1
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        if view.mask is None:
            return view.alpha.new_zeros(())
        return self.weight * (view.alpha - (view.mask >= KEEP_FROM).float()).abs().mean()


def _window(mask: Tensor) -> tuple[slice, slice]:
    """Rows and columns of the outline with a margin; the whole picture where it keeps nothing."""
    kept = mask >= KEEP_FROM
    return _span(kept.any(1)), _span(kept.any(0))


def _span(kept: Tensor) -> slice:
    places = kept.nonzero()
    if len(places) == 0:
        return slice(0, len(kept))
    return slice(max(0, int(places[0]) - MARGIN), int(places[-1]) + 1 + MARGIN)
