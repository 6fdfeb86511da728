"""A view as text: what the page puts into its address, and what ``firstlight render --view`` takes."""

from __future__ import annotations

import math

import numpy as np
import torch

from firstlight.errors import InputError
from firstlight.scene import Cameras
from firstlight.view.frame import Viewpoint

NUMBERS = 10


def read_view(text: str) -> Viewpoint:
    """Ten numbers with commas between, in scene units: position, target, up direction, and the vertical field
    of view in degrees. A whole link to the page will do. InputError when it is no view."""
    part = text.rpartition("view=")[2].partition("&")[0].replace("%2C", ",")
    try:
        numbers = np.array([float(number) for number in part.split(",")])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) == NUMBERS and np.isfinite(numbers).all() and 0 < numbers[9] < 180:
        position, target, up, fov = numbers[:3], numbers[3:6], numbers[6:9], math.radians(numbers[9])
        if (position != target).any() and up.any():
            return Viewpoint(position, target, up / np.linalg.norm(up), fov, fov)
    raise InputError(
        f"{text[:80]!r}: not a view. Expected ten numbers and commas: position, target, up direction "
        "and vertical field of view in degrees. 'Copy view' on the page of 'firstlight view' gives them."
    )


def look_from(viewpoint: Viewpoint, width: int, height: int) -> Cameras:
    """The camera [1] that sees what the page shows from there in a window of that size."""
    forward = _unit(viewpoint.target - viewpoint.position)
    right = np.cross(forward, viewpoint.up)
    if np.linalg.norm(right) < 1e-6:  # straight up or down: any way is as good
        right = np.cross(forward, np.eye(3)[0 if abs(forward[0]) < 0.9 else 1])
    right = _unit(right)
    viewmat = np.eye(4)
    viewmat[:3, :3] = right, np.cross(forward, right), forward
    viewmat[:3, 3] = -viewmat[:3, :3] @ viewpoint.position
    focal = height / (2 * math.tan(viewpoint.fov_y / 2))
    K = [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]
    return Cameras(
        torch.tensor(viewmat[None], dtype=torch.float32),
        torch.tensor([K]),
        torch.tensor([width]),
        torch.tensor([height]),
    )


def _unit(
    vector: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return vector / np.linalg.norm(vector)
