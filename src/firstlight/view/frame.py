"""From scene units to the units of the page, and where a visitor stands first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firstlight.poses import upright
from firstlight.scene import Cameras, Capture, Gaussians, Similarity

Vector = npt.NDArray[np.float64]  # [3]

# The page's near plane (0.01), packing and single-precision arithmetic all assume a scene of ordinary size
# near the origin, and structure from motion may return any. So what is looked at first is put there, this far
# away.
LOOK_DISTANCE = 4.0
SAMPLE = 20_000  # positions that decide where to look; more change nothing
FOV_WITHOUT_CAMERA = math.radians(60)
STEEPEST = math.radians(15)  # between the view and the vertical
SLANT = math.radians(40)


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


def fields_of_view(cameras: Cameras, index: int) -> tuple[float, float]:
    """Horizontal and vertical field of view in radians, as a pinhole camera would have them."""
    if cameras.model not in ("pinhole", "fisheye"):
        return FOV_WITHOUT_CAMERA, FOV_WITHOUT_CAMERA
    K = cameras.Ks[index].double()
    sizes = float(cameras.width[index]), float(cameras.height[index])
    angles = [2 * math.atan(size / (2 * float(K[axis, axis]))) for axis, size in enumerate(sizes)]
    return angles[0], angles[1]


def frame_scene(gaussians: Gaussians | None, capture: Capture | None) -> Frame:
    """Look as the first camera did at what lies in the middle of its picture; without one, at everything."""
    positions = _positions(gaussians, capture)
    if capture is not None and capture.cameras is not None and len(capture.cameras):
        return _from_first_camera(capture, capture.cameras, positions)
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


def _from_first_camera(capture: Capture, cameras: Cameras, positions: Tensor) -> Frame:
    rotation, center = cameras.rotations[0].double().cpu(), cameras.centers[0].double().cpu()
    forward, up = rotation[2], _up(capture)
    depth = _depth_in_view(cameras, positions)
    if depth is None:
        depth = cameras.extent if cameras.extent > 0 else 1.0
    scale = LOOK_DISTANCE / depth
    to_page = Similarity(scale, torch.eye(3, dtype=torch.float64), -scale * (center + depth * forward))
    if abs(float(forward @ up)) > math.cos(STEEPEST):
        # From straight above (or below) one cannot orbit: stand back from what is at the top of the photo.
        ahead = -rotation[1] + (rotation[1] @ up) * up
        straight = torch.sign(forward @ up) * up
        forward = math.sin(SLANT) * ahead / ahead.norm() + math.cos(SLANT) * straight
    position = -LOOK_DISTANCE * forward.numpy()
    return Frame(to_page, Viewpoint(position, np.zeros(3), up.numpy(), *fields_of_view(cameras, 0)))


def _depth_in_view(cameras: Cameras, positions: Tensor) -> float | None:
    """Median depth of what the first camera sees in the middle half of its picture; None when nothing."""
    viewmat = cameras.viewmats[0].double().cpu()
    x, y, z = (positions @ viewmat[:3, :3].T + viewmat[:3, 3]).unbind(-1)
    fov_x, fov_y = fields_of_view(cameras, 0)
    half_x, half_y = math.tan(fov_x / 2) / 2, math.tan(fov_y / 2) / 2
    seen = z[(z > 0) & (x.abs() < half_x * z) & (y.abs() < half_y * z)]
    return float(seen.median()) if len(seen) >= 10 else None


def _up(capture: Capture) -> Tensor:
    """What is up for these photos [3]: ``poses.upright`` decides."""
    still, turned = capture.cameras, upright(replace(capture, points=None)).cameras
    assert still is not None and turned is not None
    turn = turned.rotations[0].double().cpu().mT @ still.rotations[0].double().cpu()
    return torch.nn.functional.normalize(-turn[1], dim=0)  # upright scenes have y pointing down


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
