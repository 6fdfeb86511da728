"""Cameras that move while the scene is fitted: bundle adjustment by pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from firstlight.fitting._row_adam import RowAdam, load
from firstlight.scene import Cameras, Capture
from firstlight.scene.rotation import quat_to_rotmat
from firstlight.starts import viewing_distances


@dataclass(frozen=True)
class CameraRefinement:
    """How the training cameras move with the scene (InstantSplat, Fan et al. 2024, moves them alike).

    Rates are Adam's: about what a camera moves each time that its photo is seen. They fall exponentially
    from ``start`` to the end of the fit; before that the scene is too coarse to tell where a camera stands.
    """

    rotation: float = 3e-3  # radians
    translation: float = 3e-3  # of the median depth of the first Gaussians
    focal: float = 0.0  # of the logarithm of one factor on all focal lengths; 0 leaves them alone
    final: float = 0.01  # of these rates, at the end
    start: float = 0.05  # of the steps
    prior: float = 1.0  # weight of ½·(radians² + depths²) from where a camera stood at first

    def at(self, fraction: float) -> float:
        """What the rates are multiplied by when ``fraction`` of the steps is done."""
        passed = (fraction - self.start) / (1 - self.start)
        return self.final**passed if passed >= 0 else 0.0


class MovingCameras:
    """World-to-camera matrices [P, 4, 4] float64 under optimisation, and one factor on all focal lengths.

    A move is a twist in the camera's own frame: the matrix is multiplied from the left by a small turn and
    shift, and the gradient is taken there, at no move. So there is no parametrisation that could run into a
    pole, and turns and shifts mean the same wherever the world's origin is. ``reach`` is the length that
    makes shifts comparable to turns: the depth at which both move the picture alike.

    The rasteriser has no gradient to Ks, and needs none: stretching x and y of a camera's frame by a factor
    is the same as multiplying its focal lengths by it, also in the projected covariances, so the derivative
    with respect to the factor's logarithm can be read off the gradient of the matrix.
    """

    def __init__(self, cameras: Cameras, reach: float = 1.0) -> None:
        self.before = cameras.viewmats.double()
        self.viewmats = self.before.clone()
        self.reach = torch.tensor(reach, dtype=torch.float64)
        self.log_focal = torch.zeros(1, dtype=torch.float64)
        self._adam = RowAdam(len(cameras), 6, dtype=torch.float64)
        self._focal_adam = RowAdam(1, 1, dtype=torch.float64)
        self._leaf = torch.zeros(0)

    def place(self, camera: Cameras, photo: int) -> Cameras:
        """``camera`` (one, any size) as that of ``photo`` stands now; the gradient of its matrix is kept."""
        self._leaf = self.viewmats[photo : photo + 1].float().requires_grad_()
        return replace(camera, viewmats=self._leaf, Ks=self._zoomed(camera.Ks))

    def _zoomed(self, Ks: Tensor) -> Tensor:
        zoom = torch.ones_like(Ks)
        zoom[:, :2, :2] = self.log_focal.exp()
        return Ks * zoom

    @torch.no_grad()
    def step(self, photo: int, rates: CameraRefinement, fraction: float) -> None:
        """Move the camera of ``photo``, from the gradient since it was placed.

        ``fraction`` is how much of the fit is done. A gradient that is not finite is dropped.
        """
        slopes, factor = self.slopes(photo), rates.at(fraction)
        if factor == 0:
            return
        viewmat = self.viewmats[photo]
        slopes[:6] += rates.prior * moved_by(self.before[photo], viewmat, self.reach)
        direction = self._adam.step(photo, slopes[:6])
        if direction is not None:
            speed = torch.tensor([rates.rotation] * 3 + [rates.translation] * 3, dtype=torch.float64)
            self.viewmats[photo] = move(viewmat, -factor * speed * direction, self.reach)
        if rates.focal > 0:
            direction = self._focal_adam.step(0, slopes[6:])
            if direction is not None:
                self.log_focal -= factor * rates.focal * direction

    def slopes(self, photo: int) -> Tensor:
        """Derivatives [7] of the loss by the twist of ``photo``'s camera and by the logarithm of focal."""
        assert self._leaf.grad is not None, "place() and backward() come before this"
        # By any linear change of the camera's frame: the matrix becomes (I + change) @ matrix.
        frame = self._leaf.grad[0].double() @ self.viewmats[photo].T
        zoom = frame[0, 0] + frame[1, 1]
        return torch.cat([_turn(frame), frame[:3, 3] * self.reach, zoom[None]])

    def on(self, cameras: Cameras) -> Cameras:
        """``cameras`` [P] of any size as they stand now. Those whose photo was never seen have not moved."""
        return replace(
            cameras, viewmats=self.viewmats.to(cameras.viewmats.dtype), Ks=self._zoomed(cameras.Ks)
        )

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, by name; not copied."""
        adam = {f"adam.{name}": tensor for name, tensor in self._adam.state().items()}
        focal = {f"focal.{name}": tensor for name, tensor in self._focal_adam.state().items()}
        own = {"before": self.before, "viewmats": self.viewmats, "reach": self.reach}
        return {**own, "log_focal": self.log_focal, **adam, **focal}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of ``state``. ValueError when it is of another number of photos."""
        load(self.state(), state)


def move(viewmat: Tensor, twist: Tensor, reach: Tensor) -> Tensor:
    """``viewmat`` [4, 4] after a turn about the camera's centre (rotation vector, the first three of
    ``twist``) and a shift by the other three times ``reach``, both in the camera's frame."""
    angle = twist[:3].norm()
    half = torch.sinc(angle / (2 * torch.pi)) / 2  # sin(angle / 2) / angle
    delta = torch.eye(4, dtype=viewmat.dtype)
    delta[:3, :3] = quat_to_rotmat(torch.cat([(angle / 2).cos()[None], half * twist[:3]]))
    delta[:3, 3] = reach * twist[3:]
    return delta @ viewmat


def moved_by(before: Tensor, after: Tensor, reach: Tensor) -> Tensor:
    """The twist [6] that ``move`` takes from one matrix to the other, for small turns."""
    delta = after @ torch.linalg.inv(before)
    return torch.cat([_turn(delta) / 2, delta[:3, 3] / reach])


def _turn(m: Tensor) -> Tensor:
    return torch.stack([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])


def reach_of(cameras: Cameras, means: Tensor) -> float:
    """Median depth of ``means`` [N, 3] before ``cameras``; 1 where nothing is before them."""
    depths = means.double() @ cameras.viewmats[:, 2, :3].double().T + cameras.viewmats[:, 2, 3].double()
    ahead = depths[depths > 0]
    return float(ahead.median()) if len(ahead) else 1.0


def size_of(capture: Capture) -> float:
    """Size of the scene, for rates and thresholds: ``Cameras.extent``.

    Where they are not ``apart``, that is nothing, or what rounding made of it. Then it is how far away things
    are: the median depth of known points, dense ones first, or the distance of a random start.
    """
    assert capture.cameras is not None
    cameras, known = capture.cameras, capture.cloud or capture.points
    if cameras.apart:
        return cameras.extent
    return reach_of(cameras, known.xyz) if known else float(viewing_distances(cameras).median())
