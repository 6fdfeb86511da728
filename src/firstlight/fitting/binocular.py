"""Each photo as one eye of a pair whose other eye is the scene's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from firstlight.fitting._warping import SOLID, meet
from firstlight.fitting.terms import View
from firstlight.scene import KEEP_FROM, Cameras


@dataclass(frozen=True)
class Binocular:
    """weight · L1 between a photo and the view of a camera beside it, warped back by the photo's own depth.

    After Binocular-guided Gaussian splatting (Han et al. 2024): the camera moves sideways by a random amount,
    at most so far that half of what it sees moves by ``shift`` of the picture's width. Where a pixel's depth
    is wrong, it meets another colour there. Pixels that something hides from the other eye (its depth there
    is nearer by more than ``agree``, relatively), or that are not solid in both, count for nothing; the paper
    masks no occlusion. Gradients flow to depth and to what the other eye sees.
    """

    weight: float = 0.3
    shift: float = 0.04  # of the picture's width
    agree: float = 0.05
    start: float = 0.2  # of the steps: before it there is no depth to warp by
    sees_depth: ClassVar[bool] = True

    def __call__(self, view: View) -> Tensor:
        nothing = view.alpha.new_zeros(())
        if view.fraction < self.start or view.depth is None:
            return nothing
        solid = view.alpha.detach() > SOLID
        if view.mask is not None:
            solid &= view.mask >= KEEP_FROM
        if not solid.any():
            return nothing
        beside = self._moved(view, float(view.depth.detach()[solid].median()))
        there = view.look(beside)
        picture = torch.cat([there.rgb, there.depth.detach()[..., None]], -1)
        met = meet(view.depth, solid, view.camera, beside, picture, there.alpha.detach() > SOLID)
        z = met.z.detach()
        seen = met.inside & (met.channels[:, 3].detach() > (1 - self.agree) * z)
        if not seen.any():
            return nothing
        photo = view.photo[solid].float() / 255
        return self.weight * (met.channels[seen, :3] - photo[seen]).abs().mean()

    def _moved(self, view: View, depth: float) -> Cameras:
        """The camera moved along its own x axis: what is ``depth`` away moves by at most ``shift``."""
        most = self.shift * float(view.camera.width[0]) * depth / float(view.camera.Ks[0, 0, 0])
        way = 2 * torch.rand((), dtype=torch.float64, generator=view.generator) - 1
        viewmats = view.camera.viewmats.detach().clone()
        viewmats[0, 0, 3] -= most * float(way)
        return replace(view.camera, viewmats=viewmats)
