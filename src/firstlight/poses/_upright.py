"""Which way is up, where is the middle, how large is one: what photos alone leave open."""

from __future__ import annotations

import torch
from torch import Tensor

from firstlight.scene import Cameras, Capture, Similarity

_PULL = 0.02  # weight of the mean picture vertical against what the picture horizontals say
_CANCELLED = 1e-6  # a mean of unit verticals that is shorter is rounding alone, and points anywhere


def upright(capture: Capture) -> Capture:
    """Turn, shift and scale a capture of unknown frame so that the frame makes sense.

    - Down is +y: photographers keep the horizon level, so down is the direction most nearly at right angles
      to every picture's horizontal, and nearest to the mean picture vertical where that leaves it open, or
      to that of the first picture where they cancel.
      Photos that all look the same way but whose verticals disagree look straight down, as a drone does:
      then down is where they look.
    - The mean horizontal viewing direction is +z, or that of the first photo where they cancel.
    - The cameras' mean is the origin, and the camera farthest from it is at 1 / 1.1: ``Cameras.extent`` is 1.

    ValueError when the capture has no cameras. A single camera, or several in one place, keep their scale.
    """
    if capture.cameras is None:
        raise ValueError("the capture has no cameras")
    return capture.transform(_similarity(capture.cameras))


def _similarity(cameras: Cameras) -> Similarity:
    axes = cameras.rotations.double()  # rows: right, down and forward of each picture, in the world
    down = _down(axes)
    forward = _forward(axes, down)
    rotation = torch.stack([torch.linalg.cross(down, forward), down, forward])
    centers = cameras.centers.double()
    middle = centers.mean(0)
    reach = float((centers - middle).norm(dim=-1).max())
    scale = 1 / (1.1 * reach) if reach > 1e-9 else 1.0
    return Similarity(scale, rotation, -scale * rotation @ middle)


def _down(axes: Tensor) -> Tensor:
    right, vertical, ahead = (axes[:, i] for i in range(3))
    mean_vertical, mean_ahead = vertical.mean(0), ahead.mean(0)
    if mean_vertical.norm() < 0.5 and mean_ahead.norm() > 0.9:
        return _unit(mean_ahead)
    if mean_vertical.norm() < _CANCELLED:
        mean_vertical = vertical[0]
    # min over g of mean (right · g)² + pull · |g − vertical|²
    spread = right.T @ right / len(right)
    pulled = spread + _PULL * torch.eye(3, dtype=torch.float64)
    return _unit(torch.linalg.solve(pulled, mean_vertical))


def _forward(axes: Tensor, down: Tensor) -> Tensor:
    """A unit vector at right angles to ``down``."""
    ahead = axes[:, 2]
    for candidate in (ahead.mean(0), ahead[0], -axes[0, 1]):
        level = candidate - (candidate @ down) * down
        if level.norm() > 0.1:
            return _unit(level)
    raise AssertionError("a picture's vertical and its viewing direction are at right angles")


def _unit(vector: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vector, dim=0)
