"""From scene units to the units of the page, and where a visitor stands first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firstlight.scene import Cameras, Capture, Gaussians, Similarity

Vector = npt.NDArray[np.float64]  # [3]

# The page's walking speed (2 units a second), near plane (0.01) and half-precision covariances all assume a
# scene of ordinary size, and structure from motion may return any size. So what is looked at first is put
# at the origin, this far away.
LOOK_DISTANCE = 4.0
SAMPLE = 20_000  # positions that decide where to look; more change nothing
FOV_WITHOUT_CAMERA = math.radians(60)


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """A camera that orbits a target; page units, angles in radians."""

    position: Vector
    target: Vector
    up: Vector
    fov_x: float
    fov_y: float


@dataclass(frozen=True, eq=False)
class Frame:
    """How a scene lies on the page. There is no rotation: the page is told which way is up instead."""

    to_page: Similarity
    first: Viewpoint

    def place(self, points: Tensor) -> npt.NDArray[np.float32]:
        """Scene positions [N, 3] → page positions [N, 3]."""
        return self.to_page.apply(points.detach().double().cpu()).numpy().astype(np.float32)

    def viewpoint(self, cameras: Cameras, index: int) -> Viewpoint:
        """What camera ``index`` saw, its roll too, orbiting the point on its axis nearest to the origin."""
        rotation = cameras.rotations[index].detach().double().cpu().numpy()
        position = self.place(cameras.centers[index : index + 1])[0].astype(np.float64)
        down, forward = rotation[1], rotation[2]
        distance = max(float(-position @ forward), LOOK_DISTANCE / 4)
        fov_x, fov_y = fields_of_view(cameras, index)
        return Viewpoint(position, position + distance * forward, -down, fov_x, fov_y)


def fields_of_view(cameras: Cameras, index: int) -> tuple[float, float]:
    """Horizontal and vertical field of view in radians, as a pinhole camera would have them."""
    if cameras.model != "pinhole" and cameras.model != "fisheye":
        return FOV_WITHOUT_CAMERA, FOV_WITHOUT_CAMERA
    K = cameras.Ks[index].double()
    sizes = float(cameras.width[index]), float(cameras.height[index])
    angles = [2 * math.atan(size / (2 * float(K[axis, axis]))) for axis, size in enumerate(sizes)]
    return angles[0], angles[1]


def frame_scene(gaussians: Gaussians | None, capture: Capture | None) -> Frame:
    """Look as the first camera did at what lies in the middle of its picture; without one, at everything."""
    positions = _positions(gaussians, capture)
    cameras = None if capture is None else capture.cameras
    if cameras is not None and len(cameras):
        return _from_first_camera(cameras, positions)
    return _from_outside(positions)


def _positions(gaussians: Gaussians | None, capture: Capture | None) -> Tensor:
    """Where something stands, [P, 3] float64, P ≤ SAMPLE or none at all."""
    if gaussians is not None and len(gaussians):
        means = gaussians.means.detach()[gaussians.opacities.detach() > 0.05]
    elif capture is not None and capture.points is not None:
        means = capture.points.xyz
    else:
        means = torch.zeros(0, 3)
    means = means[means.isfinite().all(1)]
    step = max(1, math.ceil(len(means) / SAMPLE))
    return means[::step].double().cpu()


def _from_first_camera(cameras: Cameras, positions: Tensor) -> Frame:
    rotations, centers = cameras.rotations.double().cpu(), cameras.centers.double().cpu()
    center, forward = centers[0], rotations[0, 2]
    depth = _depth_in_view(cameras, positions)
    if depth is None:
        depth = cameras.extent if cameras.extent > 0 else 1.0
    scale = LOOK_DISTANCE / depth
    to_page = Similarity(scale, torch.eye(3, dtype=torch.float64), -scale * (center + depth * forward))
    fov_x, fov_y = fields_of_view(cameras, 0)
    up = _common_up(rotations)
    return Frame(
        to_page,
        Viewpoint(-LOOK_DISTANCE * forward.numpy(), np.zeros(3), up.numpy(), fov_x, fov_y),
    )


def _depth_in_view(cameras: Cameras, positions: Tensor) -> float | None:
    """Median depth of what the first camera sees in the middle half of its picture; None when nothing."""
    viewmat = cameras.viewmats[0].double().cpu()
    x, y, z = (positions @ viewmat[:3, :3].T + viewmat[:3, 3]).unbind(-1)
    fov_x, fov_y = fields_of_view(cameras, 0)
    half_x, half_y = math.tan(fov_x / 2) / 2, math.tan(fov_y / 2) / 2
    seen = z[(z > 0) & (x.abs() < half_x * z) & (y.abs() < half_y * z)]
    return float(seen.median()) if len(seen) >= 10 else None


def _common_up(rotations: Tensor) -> Tensor:
    """The mean upward direction of cameras [C, 3, 3]; the first one's where that says nothing."""
    up: Tensor = -rotations[:, 1].mean(0)
    first: Tensor = -rotations[0, 1]
    length = float(up.norm())
    # Photos taken with the phone turned every way, or a mean that the first camera looks along.
    if length < 0.2 or abs(float(up @ rotations[0, 2])) / length > 0.95:
        return first
    return up / length


def _from_outside(positions: Tensor) -> Frame:
    """Everything in view, from the front, y pointing down as scenes from photos mostly have it."""
    if len(positions):
        center = positions.median(0).values
        radius = float((positions - center).norm(dim=-1).quantile(0.8))
    else:
        center, radius = torch.zeros(3, dtype=torch.float64), 1.0
    distance = 1.5 * (radius if radius > 0 else 1.0) / math.tan(FOV_WITHOUT_CAMERA / 2)
    scale = LOOK_DISTANCE / distance
    to_page = Similarity(scale, torch.eye(3, dtype=torch.float64), -scale * center)
    position, up = np.array([0.0, 0.0, -LOOK_DISTANCE]), np.array([0.0, -1.0, 0.0])
    return Frame(to_page, Viewpoint(position, np.zeros(3), up, FOV_WITHOUT_CAMERA, FOV_WITHOUT_CAMERA))
