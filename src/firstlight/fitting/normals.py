"""Surfaces whose Gaussians face the way that depth says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from firstlight.fitting._warping import SOLID
from firstlight.fitting.terms import View
from firstlight.render import depth_to_normal, near_for, render_surfels
from firstlight.scene import KEEP_FROM


@dataclass(frozen=True)
class DepthNormals:
    """weight · mean (alpha − n · N): normals of the Gaussians as surfels, and those of their depth map.

    The normal consistency of 2D Gaussian Splatting (Huang et al. 2024). n are the surfels' normals summed as
    colours are, N is from the differences of the rendered depth. A second picture is rendered for it: the
    Gaussians, cut flat across their third axis, as ``render_surfels`` draws them.
    """

    weight: float = 0.05
    start: float = 0.2  # of the steps: before it there is no surface
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        if view.fraction < self.start:
            return view.alpha.new_zeros(())
        surfels = render_surfels(view.gaussians, view.camera, sh_degree=0, near=near_for(view.extent))
        off = surfels.alpha - (surfels.normals * surfels.surface).sum(-1)
        counts = (surfels.surface.detach() != 0).any(-1)
        if view.mask is not None:
            counts &= view.mask >= KEEP_FROM
        return self.weight * torch.where(counts, off, 0).mean()


@dataclass(frozen=True)
class NormalTeacher:
    """l1 · mean |N − N̂|₁ + cosine · mean (1 − N · N̂): rendered depth's normals, and known depth's.

    The normal loss of LM-Gaussian (Yu et al. 2024), whose N̂ a network sees; here they are those of the
    photo's own depth, where it is known on all sides of a pixel.
    """

    l1: float = 0.01
    cosine: float = 0.01
    sees_depth: ClassVar[bool] = True

    def __call__(self, view: View) -> Tensor:
        nothing = view.alpha.new_zeros(())
        if view.depth is None or view.measured_depth is None:
            return nothing
        camtoworld = torch.linalg.inv(view.camera.viewmats[0].detach())
        own = depth_to_normal(view.depth[..., None], camtoworld, view.camera.Ks[0])
        known = depth_to_normal(view.measured_depth[..., None], camtoworld, view.camera.Ks[0])
        counts = _surrounded(view.measured_depth > 0) & (view.alpha.detach() > SOLID)
        if view.mask is not None:
            counts &= view.mask >= KEEP_FROM
        if not counts.any():
            return nothing
        own, known = own[counts], known[counts]
        off = 1 - (own * known).sum(-1)
        return self.l1 * (own - known).abs().sum(-1).mean() + self.cosine * off.mean()


def _surrounded(known: Tensor) -> Tensor:
    """Pixels [H, W] that are known together with their four neighbours; none at the border."""
    inside = torch.zeros_like(known)
    middle = known[1:-1, 1:-1] & known[:-2, 1:-1] & known[2:, 1:-1] & known[1:-1, :-2] & known[1:-1, 2:]
    inside[1:-1, 1:-1] = middle
    return inside
