"""Views that were never photographed: what a photo, moved by the scene's own depth, says about them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from firstlight.fitting._warping import SOLID, meet
from firstlight.fitting.terms import Rendered, View
from firstlight.scene import KEEP_FROM, Cameras
from firstlight.scene.rotation import quat_to_rotmat


@dataclass(frozen=True)
class WarpedViews:
    """Geometry that agrees between a photo and a view near it, and the photo warped there (SGPose).

    In each step the camera is turned about what it looks at, by a random angle. Each pixel seen from there is
    a point in space, and the photo's own depth must agree with it: ``depth`` · mean min(|z − D| / D,
    ``largest``). Where both agree within ``agree``, the photo says which colour is to be seen from there:
    ``colour`` · L1, from ``colour_start`` of the steps on. What the photo cannot see counts for nothing.
    """

    depth: float = 0.05
    colour: float = 0.5
    angle: float = 15.0  # degrees, at most
    largest: float = 0.1  # relative difference of depths; more is another surface
    agree: float = 0.02  # relative difference of depths of one surface
    start: float = 0.2  # of the steps: before it there is no depth worth comparing
    colour_start: float = 0.5
    sees_depth: ClassVar[bool] = True

    def __call__(self, view: View) -> Tensor:
        nothing = view.alpha.new_zeros(())
        if view.fraction < self.start or view.depth is None:
            return nothing
        solid = view.alpha > SOLID if view.mask is None else (view.mask >= KEEP_FROM) & (view.alpha > SOLID)
        if not solid.any():
            return nothing
        nearby = _turned(view, solid, math.radians(self.angle))
        warped = _warped(view, solid, nearby, view.look(nearby))
        off = (warped.z - warped.depth).abs() / warped.depth.detach().clamp(min=1e-6)
        off = off[warped.seen]
        if len(off) == 0:
            return nothing
        loss: Tensor = self.depth * off.clamp(max=self.largest).mean()
        same = off < self.agree
        if view.fraction >= self.colour_start and same.any():
            wrong = (warped.rgb[warped.seen] - warped.photo[warped.seen])[same].abs()
            loss = loss + self.colour * wrong.mean()
        return loss


class _Warped(NamedTuple):
    """P pixels of the nearby view, and what the photo's view has where they fall on it."""

    z: Tensor  # [P] their depth as seen from the photo
    depth: Tensor  # [P] the photo's own depth there
    rgb: Tensor  # [P, 3] their rendered colours
    photo: Tensor  # [P, 3] the photo's colours there
    seen: Tensor  # [P] whether both are solid there


def _turned(view: View, solid: Tensor, most: float) -> Cameras:
    """The camera of ``view`` after a random turn, by at most ``most``, about the middle of what it sees."""
    assert view.depth is not None
    row, column = solid.nonzero().double().mean(0) + 0.5
    depth = view.depth.detach()[solid].median().double()
    K = view.camera.Ks[0].double()
    ray = torch.linalg.solve(K, torch.stack([column, row, torch.ones_like(row)]))
    pivot = depth * ray
    axis = normalize(torch.randn(3, dtype=torch.float64, generator=view.generator), dim=0)
    angle = most * torch.rand(1, dtype=torch.float64, generator=view.generator)
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] = quat_to_rotmat(torch.cat([(angle / 2).cos(), (angle / 2).sin() * axis]))
    turn[:3, 3] = pivot - turn[:3, :3] @ pivot
    viewmats = turn @ view.camera.viewmats.detach().double()
    return replace(view.camera, viewmats=viewmats.to(view.camera.viewmats))


def _warped(view: View, solid: Tensor, nearby: Cameras, there: Rendered) -> _Warped:
    assert view.depth is not None
    kept = there.alpha > SOLID
    own = torch.cat([view.photo.float() / 255, view.depth[..., None]], -1)
    met = meet(there.depth, kept, nearby, view.camera, own, solid)
    return _Warped(met.z, met.channels[:, 3], there.rgb[kept], met.channels[:, :3], met.inside)
