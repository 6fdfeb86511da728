"""Twin of distorted lenses, moving shutters and the unscented transform."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from firstlight.render._unscented_types import (
    FThetaCameraDistortionParameters,
    FThetaPolynomialType,
    RollingShutterType,
    UnscentedTransformParameters,
)
from firstlight.scene.rotation import quat_to_rotmat, rotmat_to_quat


class Sensor(NamedTuple):
    """One camera with its lens and shutter."""

    viewmat: Tensor  # [4, 4]
    K: Tensor  # [3, 3]
    width: int
    height: int
    camera_model: str = "pinhole"
    radial: Tensor | None = None  # [6], or [4] of a fisheye
    tangential: Tensor | None = None  # [2]
    thin_prism: Tensor | None = None  # [4]
    ftheta: FThetaCameraDistortionParameters | None = None
    shutter: RollingShutterType = RollingShutterType.GLOBAL
    viewmat_rs: Tensor | None = None  # [4, 4]

    def pixels(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Where points in camera axes [..., 3] fall [..., 2], and whether the lens shows them [...]."""
        before = points[..., 2] > 0
        x, y, z = torch.where(before[..., None], points, points.new_tensor([0.0, 0.0, 1.0])).unbind(-1)
        focal, center = torch.stack([self.K[0, 0], self.K[1, 1]]), self.K[:2, 2]
        if self.camera_model == "pinhole":
            bent, radial = self._bend(torch.stack([x / z, y / z], -1))
            pixels, shown = focal * bent + center, radial > 0.8
        else:
            rho = torch.sqrt(x * x + y * y)
            angle = torch.atan2(rho, z)
            limit = self._limit()
            distance, shown = self._distance(angle.clamp(max=limit)), angle <= limit
            sides = torch.where(rho[..., None] > 0, torch.stack([x, y], -1) / rho[..., None], 0.0)
            offset = distance[..., None] * sides
            if self.camera_model == "fisheye":
                pixels, shown = focal * offset + center, shown & (distance >= 0)
            else:
                pixels = offset @ self._linear().mT + center + 0.5
        return torch.where(before[..., None], pixels, 0.0), before & shown

    def rays(self) -> tuple[Tensor, Tensor]:
        """Origins and directions [H, W, 3] in the world, directions of length 1 or, where none is, 0."""
        like = self.K
        y, x = torch.meshgrid(torch.arange(self.height), torch.arange(self.width), indexing="ij")
        pixels = torch.stack([x, y], -1).to(like) + 0.5
        focal, center = torch.stack([self.K[0, 0], self.K[1, 1]]), self.K[:2, 2]
        if self.camera_model == "pinhole":
            slopes, shown = self._straighten((pixels - center) / focal)
            directions = torch.nn.functional.normalize(
                torch.cat([slopes, torch.ones_like(slopes[..., :1])], -1), dim=-1
            )
        else:
            offset = (pixels - center) / focal
            if self.camera_model == "ftheta":
                offset = (pixels - center - 0.5) @ torch.linalg.inv(self._linear()).mT
            distance = offset.norm(dim=-1)
            angle, shown = self._angle(distance)
            side = torch.where(distance > 0, torch.sin(angle) / distance, 0.0)
            directions = torch.cat([side[..., None] * offset, torch.cos(angle)[..., None]], -1)
        W, t = self.poses(self.time(pixels))
        origins = -(W.mT @ t[..., None])[..., 0]
        return origins, torch.where(shown[..., None], (W.mT @ directions[..., None])[..., 0], 0.0)

    def time(self, pixels: Tensor) -> Tensor:
        """How far into the exposure pixels [..., 2] are read [...]."""
        x, y = pixels.unbind(-1)
        if self.shutter == RollingShutterType.GLOBAL:
            return torch.zeros_like(x)
        name = self.shutter.name
        lines, place = (self.width, x) if "LEFT" in name else (self.height, y)
        forwards = name in ("ROLLING_TOP_TO_BOTTOM", "ROLLING_LEFT_TO_RIGHT")
        read = place.floor() if forwards else lines - place.ceil()
        return read / (lines - 1) if lines > 1 else torch.full_like(x, 0.5)

    def poses(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Rotations [..., 3, 3] and translations [..., 3], world → camera, at these times [...]."""
        end = self.viewmat
        if self.viewmat_rs is not None and self.shutter != RollingShutterType.GLOBAL:
            end = self.viewmat_rs
        first, last = rotmat_to_quat(self.viewmat[:3, :3]), rotmat_to_quat(end[:3, :3])
        last = torch.where((first @ last) < 0, -last, last)
        angle = torch.arccos((first @ last).clamp(max=1.0))
        t = time[..., None]
        quats = (1 - t) * first + t * last
        if angle > 1e-6:
            quats = torch.sin((1 - t) * angle) * first + torch.sin(t * angle) * last
        return quat_to_rotmat(quats), (1 - t) * self.viewmat[:3, 3] + t * end[:3, 3]

    def see(self, points: Tensor, margin: float) -> tuple[Tensor, Tensor]:
        """Where points of the world [..., 3] fall [..., 2], and whether in the picture or near it [...]."""

        def from_pose(time: Tensor) -> tuple[Tensor, Tensor]:
            W, t = self.poses(time)
            pixels, shown = self.pixels((W @ points[..., None])[..., 0] + t)
            size = pixels.new_tensor([self.width, self.height])
            return pixels, shown & ((pixels >= -margin * size) & (pixels < (1 + margin) * size)).all(-1)

        none = torch.zeros(points.shape[:-1]).to(points)
        pixels, shown = from_pose(none)
        if self.shutter == RollingShutterType.GLOBAL:
            return pixels, shown
        at_end, shown_at_end = from_pose(none + 1)
        pixels = torch.where(shown[..., None], pixels, at_end)
        any_shown = shown | shown_at_end
        for _ in range(10):
            pixels, shown = from_pose(self.time(pixels))
        return torch.where(any_shown[..., None], pixels, at_end), any_shown & shown

    def _bend(self, slopes: Tensor) -> tuple[Tensor, Tensor]:
        """OpenCV's distortion of slopes [..., 2], and its radial factor [...]."""
        k = slopes.new_zeros(6) if self.radial is None else self.radial
        p = slopes.new_zeros(2) if self.tangential is None else self.tangential
        s = slopes.new_zeros(4) if self.thin_prism is None else self.thin_prism
        x, y = slopes.unbind(-1)
        r = x * x + y * y
        radial = (1 + k[0] * r + k[1] * r**2 + k[2] * r**3) / (1 + k[3] * r + k[4] * r**2 + k[5] * r**3)
        return torch.stack(
            [
                x * radial + 2 * p[0] * x * y + p[1] * (r + 2 * x * x) + s[0] * r + s[1] * r**2,
                y * radial + p[0] * (r + 2 * y * y) + 2 * p[1] * x * y + s[2] * r + s[3] * r**2,
            ],
            -1,
        ), radial

    def _straighten(self, bent: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes whose distortion is ``bent`` [..., 2], found as OpenCV does, and where there are such."""
        slopes = bent
        for _ in range(200):
            found, radial = self._bend(slopes)
            slopes = slopes + (bent - found) / radial[..., None]
        found, radial = self._bend(slopes)
        return slopes, ((found - bent).abs().amax(-1) < 1e-8) & (radial > 0)

    def _limit(self) -> float:
        """The largest angle from the axis that is shown."""
        if self.ftheta is not None:
            return self.ftheta.max_angle
        angles = torch.linspace(0, math.pi, 2001, dtype=torch.float64)
        falls = torch.nonzero(torch.diff(self._fisheye(angles)) <= 0)
        return float(angles[falls[0]]) if len(falls) else math.pi

    def _fisheye(self, angle: Tensor) -> Tensor:
        k = [0.0] * 4 if self.radial is None else self.radial.tolist()
        powers: list[Tensor] = [c * angle ** (3 + 2 * i) for i, c in enumerate(k)]
        return angle + torch.stack(powers).sum(0)

    def _distance(self, angle: Tensor) -> Tensor:
        """Distance from the axis, in focal lengths or (f-theta) pixels, of an angle [...]."""
        if self.ftheta is None:
            return self._fisheye(angle)
        if self.ftheta.reference_poly == FThetaPolynomialType.ANGLE_TO_PIXELDIST:
            return _polynomial(self.ftheta.angle_to_pixeldist_poly, angle)
        near = _polynomial(self.ftheta.angle_to_pixeldist_poly, angle)
        return _invert(self.ftheta.pixeldist_to_angle_poly, angle, near)

    def _angle(self, distance: Tensor) -> tuple[Tensor, Tensor]:
        """Angle of a distance [...], and whether it is one that the lens shows."""
        limit = self._limit()
        if self.ftheta is None:
            low, high = torch.zeros_like(distance), torch.full_like(distance, limit)
            for _ in range(60):  # it rises, so halving finds it
                middle = 0.5 * (low + high)
                beyond = self._fisheye(middle) > distance
                low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
            return high, distance < self._fisheye(distance.new_tensor(limit))
        angle = _polynomial(self.ftheta.pixeldist_to_angle_poly, distance)
        if self.ftheta.reference_poly == FThetaPolynomialType.ANGLE_TO_PIXELDIST:
            angle = _invert(self.ftheta.angle_to_pixeldist_poly, distance, angle)
        return angle, (angle >= 0) & (angle <= limit)

    def _linear(self) -> Tensor:
        assert self.ftheta is not None
        c, d, e = self.ftheta.linear_cde
        return self.K.new_tensor([[c, d], [e, 1.0]])


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    return torch.stack([c * x**i for i, c in enumerate(coefficients)]).sum(0)


def _invert(coefficients: Sequence[float], value: Tensor, x: Tensor) -> Tensor:
    """Where the polynomial has this value, by Newton from ``x``."""
    slopes = [i * c for i, c in enumerate(coefficients)][1:]
    for _ in range(20):
        x = x - (_polynomial(coefficients, x) - value) / _polynomial(slopes, x)
    return x


def fully_fused_projection_with_ut(
    means: Tensor,  # [N, 3]
    quats: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor | None,  # [N]
    sensor: Sensor,
    eps2d: float = 0.3,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    ut: UnscentedTransformParameters | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """radii [N, 2], means2d, depths, conics and compensations through one camera; zeros where radii are 0."""
    ut = ut or UnscentedTransformParameters()
    squared = ut.alpha**2 * (3 + ut.kappa)
    W, t = sensor.poses(means.new_tensor(0.5))
    depths = (means @ W.mT + t)[:, 2]
    axes = math.sqrt(squared) * (quat_to_rotmat(quats) * scales[:, None, :]).mT  # [N, 3, 3]
    points = torch.cat([means[:, None], means[:, None] + axes, means[:, None] - axes], 1)  # [N, 7, 3]
    pixels, shown = sensor.see(points, ut.in_image_margin_factor)
    valid = shown.all(-1) if ut.require_all_sigma_points_valid else shown.any(-1)
    valid = valid & (depths >= near_plane) & (depths <= far_plane)
    weights = means.new_tensor([1 - 3 / squared] + [0.5 / squared] * 6)
    means2d = (weights[:, None] * pixels).sum(1)
    offsets = pixels - means2d[:, None]
    weights[0] += 1 - ut.alpha**2 + ut.beta
    sharp = torch.einsum("k,nki,nkj->nij", weights, offsets, offsets)
    blurred = sharp + eps2d * torch.eye(2).to(means)
    det = torch.linalg.det(blurred)
    valid = valid & (det > 0) & (blurred[:, 0, 0] > 0) & (blurred[:, 1, 1] > 0)
    compensations = (torch.linalg.det(sharp) / torch.where(valid, det, 1.0)).clamp(min=0).sqrt()
    safe = torch.where(valid[:, None, None], blurred, torch.eye(2).to(means))
    inverse = torch.linalg.inv(safe)
    reach = torch.full_like(det, 3.33)
    if opacities is not None:
        seen = opacities * compensations
        valid = valid & (seen >= 1 / 255)
        reach = reach.minimum((2 * torch.log((seen * 255).clamp(min=1))).sqrt())
    radii = torch.ceil(reach[:, None] * torch.stack([safe[:, 0, 0], safe[:, 1, 1]], -1).sqrt())
    size = means.new_tensor([sensor.width, sensor.height])
    valid = valid & (radii > radius_clip).any(-1)
    valid = valid & ((means2d + radii > 0) & (means2d - radii < size)).all(-1)
    keep = valid[:, None]
    return (
        torch.where(keep, radii, 0.0).to(torch.int32),
        torch.where(keep, means2d, 0.0),
        torch.where(valid, depths, 0.0),
        torch.where(keep, torch.stack([inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 1]], -1), 0.0),
        torch.where(valid, compensations, 0.0),
    )
