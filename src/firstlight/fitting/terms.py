"""Losses with their weights, as a recipe lists them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from firstlight.losses import depth_l1, needle_penalty, opacity_penalty, photometric, scale_penalty
from firstlight.scene import Cameras, Gaussians, unit_of
from firstlight.scene.neighbours import local_planes, nearest
from firstlight.scene.rotation import quat_to_rotmat


class Rendered(NamedTuple):
    """What a camera sees of the Gaussians; gradients flow back to them."""

    rgb: Tensor  # [H, W, 3]
    alpha: Tensor  # [H, W]
    depth: Tensor  # [H, W] expected z-depth, scene units


class Looking(Protocol):
    """The Gaussians from any camera."""

    def __call__(self, camera: Cameras, exposed: bool = True) -> Rendered:
        """As the camera of this step's photo exposes them; without ``exposed``, as they are."""


@dataclass(frozen=True, eq=False)
class View:
    """What a loss may look at: one rendered photo, and the photo."""

    rendered: Tensor  # [H, W, 3], exposure applied
    alpha: Tensor  # [H, W]
    photo: Tensor  # [H, W, 3] uint8
    mask: Tensor | None  # [H, W] uint8, 255 = keep
    gaussians: Gaussians
    fraction: float  # of the steps done
    index: int  # of the photo in the capture
    camera: Cameras  # the one it was rendered from
    extent: float  # size of the scene: of the training views, see ``size_of``
    generator: torch.Generator  # the only source of randomness
    look: Looking  # the same Gaussians from elsewhere
    memory: dict[str, Tensor]  # of the terms, by their names; forgotten when Gaussians come or go
    depth: Tensor | None = None  # [H, W] expected z-depth; only where a term of the recipe ``sees_depth``
    measured_depth: Tensor | None = None  # [H, W] of the photo, 0 where unknown; likewise
    lasting: dict[str, Tensor] = field(default_factory=dict)  # as ``memory``, but kept for the whole fit
    training: Cameras | None = None  # of all training photos, as they stand now
    other: Callable[[Cameras], Rendered] | None = None  # the twin's picture, where two sets are trained
    begun: Callable[[Cameras], Rendered] | None = None  # the start, opaque; where ``guided`` by it
    background: Tensor | None = None  # [3] of the capture, behind ``rendered``; None: black

    @property
    def unit(self) -> float:
        """What lengths that papers give in no unit of their own are counted in."""
        return unit_of(self.extent)


class Term(Protocol):
    """A frozen dataclass: plain data in a recipe."""

    @property
    def sees_depth(self) -> bool:
        """Whether it looks at ``View.depth`` or ``View.measured_depth``, which cost something."""

    def __call__(self, view: View) -> Tensor: ...


@dataclass(frozen=True)
class Photometric:
    """(1 − w)·L1 + w·(1 − SSIM), as in 3DGS."""

    ssim_weight: float = 0.2
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        return photometric(view.rendered, view.photo, view.mask, self.ssim_weight)


@dataclass(frozen=True)
class OpacityPenalty:
    """weight · mean opacity (3DGS-MCMC, Kheradmand et al. 2024)."""

    weight: float = 0.01
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        return self.weight * opacity_penalty(view.gaussians.opacities)


@dataclass(frozen=True)
class ScalePenalty:
    """weight · mean standard deviation (3DGS-MCMC, Kheradmand et al. 2024).

    In the paper it is in whatever unit structure from motion gave; here that is ``scene.unit_of`` the extent.
    """

    weight: float = 0.01
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        return self.weight / view.unit * scale_penalty(view.gaussians.scales)


@dataclass(frozen=True)
class NeedlePenalty:
    """weight · mean of log(longest / middle axis) above log ``ratio``: discs may be, needles not."""

    weight: float = 1.0
    ratio: float = 3.0
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        return self.weight * needle_penalty(view.gaussians.log_scales, self.ratio)


@dataclass(frozen=True)
class DepthTeacher:
    """weight · exp(−fading · share of the steps done) · mean |depth − known depth| / median known depth.

    With ``fading`` 0 it is the depth loss of DRGS (Chung et al. 2024); with a strong one, the teacher of Does
    Gaussian Splatting need SFM Initialization? (Foroutan et al. 2024), whose errors must not cap quality.
    """

    weight: float = 0.1
    fading: float = 0.0
    sees_depth: ClassVar[bool] = True

    def __call__(self, view: View) -> Tensor:
        if view.depth is None or view.measured_depth is None:
            return view.alpha.new_zeros(())
        weight = self.weight * math.exp(-self.fading * view.fraction)
        return weight * depth_l1(view.depth, view.measured_depth, view.mask)


@dataclass(frozen=True)
class SurfaceAlignment:
    """Gaussians lie flat in the plane of their neighbours (GDGS, 2025; the weights are our reading of it).

    normal · (1 − |n · n̂|) + flat · thinnest / middle axis + plane · distance from the plane / spread, each a
    mean over Gaussians. n is the thinnest axis; n̂, plane and spread come from the ``neighbours`` nearest
    centres, looked up anew every ``refresh`` steps' worth and whenever Gaussians came or went.
    """

    normal: float = 0.05
    flat: float = 0.01
    plane: float = 0.05
    start: float = 0.1  # of the steps
    neighbours: int = 16
    refresh: float = 1 / 60  # of the steps
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        gaussians = view.gaussians
        if view.fraction < self.start or len(gaussians) <= self.neighbours:
            return view.alpha.new_zeros(())
        centers, normals, spreads = self._planes(view)
        thinnest = gaussians.log_scales.detach().argmin(-1)
        own = quat_to_rotmat(gaussians.quats).gather(2, thinnest[:, None, None].expand(-1, 3, 1)).squeeze(-1)
        turned = 1 - (own * normals).sum(-1).abs()
        ordered = gaussians.log_scales.sort(-1).values
        thick = (ordered[:, 0] - ordered[:, 1]).exp()
        away = ((gaussians.means - centers) * normals).sum(-1).abs() / spreads
        return self.normal * turned.mean() + self.flat * thick.mean() + self.plane * away.mean()

    def _planes(self, view: View) -> tuple[Tensor, Tensor, Tensor]:
        memory, means = view.memory, view.gaussians.means.detach()
        last = memory.get("surface.fraction")
        if last is None or view.fraction - float(last) >= self.refresh:
            planes = local_planes(means, nearest(means, self.neighbours))
            memory["surface.centers"] = planes.centers.to(means.dtype)
            memory["surface.normals"] = planes.normals.to(means.dtype).contiguous()
            memory["surface.spreads"] = planes.spreads[:, 2].to(means.dtype).clamp(min=1e-12)
            memory["surface.fraction"] = torch.tensor(view.fraction, dtype=torch.float64)
        return memory["surface.centers"], memory["surface.normals"], memory["surface.spreads"]
