"""A view as text: what the page puts into its address, and what ``firstlight render --view`` takes."""

from __future__ import annotations

import math

import numpy as np
import torch

from firstlight.errors import InputError
from firstlight.scene import Cameras, look_at
from firstlight.view.frame import Viewpoint

NUMBERS = 10
_FARTHEST, _SHORTEST = 1e15, 1e-12  # scene units: beyond, single precision has no square of a distance


def read_view(text: str) -> Viewpoint:
    """Ten numbers with commas between, in scene units: position, target, up direction, and the vertical field
    of view in degrees. A whole link to the page will do. InputError when it is no view."""
    part = text.rpartition("view=")[2].partition("&")[0].replace("%2C", ",")
    try:
        numbers = np.array([float(number) for number in part.split(",")])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) == NUMBERS and (np.abs(numbers) < _FARTHEST).all() and 0 < numbers[9] < 180:
        position, target, up, fov = numbers[:3], numbers[3:6], numbers[6:9], math.radians(numbers[9])
        if (position != target).any() and np.linalg.norm(up) > _SHORTEST:
            return Viewpoint(position, target, up / np.linalg.norm(up), fov, fov)
    raise InputError(
        f"{text[:80]!r}: not a view. Expected ten numbers and commas: position, target, up direction "
        "and vertical field of view in degrees. 'Copy view' on the page of 'firstlight view' gives them."
    )


def look_from(viewpoint: Viewpoint, width: int, height: int) -> Cameras:
    """The camera [1] that sees what the page shows from there in a window of that size."""
    position, target, up = (
        torch.from_numpy(one) for one in (viewpoint.position, viewpoint.target, viewpoint.up)
    )
    viewmats = look_at(position[None], target, -up)
    focal = height / (2 * math.tan(viewpoint.fov_y / 2))
    K = [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]
    return Cameras(
        viewmats.float(),
        torch.tensor([K]),
        torch.tensor([width]),
        torch.tensor([height]),
    )
