"""What people do to a finished scene: cut, thin out, turn upright. Colours follow every turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from firstlight.scene.gaussians import Gaussians

Axis = Literal["x", "y", "z", "-x", "-y", "-z"]


def inside_box(points: Tensor, low: Sequence[float], high: Sequence[float]) -> Tensor:
    """Mask [N] of ``points`` [N, 3] between two corners, both included."""
    return ((points >= points.new_tensor(low)) & (points <= points.new_tensor(high))).all(-1)


def inside_sphere(points: Tensor, center: Sequence[float], radius: float) -> Tensor:
    """Mask [N] of ``points`` [N, 3] at most ``radius`` from ``center``."""
    away: Tensor = points - points.new_tensor(center)
    distance: Tensor = away.norm(dim=-1)
    return distance <= radius


def most_important(gaussians: Gaussians, count: int) -> Gaussians:
    """The ``count`` of greatest :attr:`Gaussians.importance`, in the order in which they stood."""
    if count >= len(gaussians):
        return gaussians
    kept = gaussians.importance.topk(count).indices
    return gaussians.select(kept.sort().values)


def rotation_by_degrees(x: float, y: float, z: float) -> Tensor:
    """Rotation [3, 3], float64: about the fixed axis x, then y, then z, right-handed, in degrees."""
    turn = torch.eye(3, dtype=torch.float64)
    for axis, degrees in enumerate((x, y, z)):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        a, b = (axis + 1) % 3, (axis + 2) % 3
        step = torch.eye(3, dtype=torch.float64)
        step[a, a], step[a, b], step[b, a], step[b, b] = c, -s, s, c
        turn = step @ turn
    return turn


def turn_up(was: Axis, becomes: Axis) -> Tensor:
    """The shortest rotation [3, 3], float64, that turns the direction ``was`` into ``becomes``.

    Of opposite directions it is half a turn about z, or about x where those are ±z: what other converters
    do between y down and y up.
    """
    a, b = _direction(was), _direction(becomes)
    if torch.equal(a, -b):
        return torch.diag(a.new_tensor([1, -1, -1] if a[2] else [-1, -1, 1]))
    middle = (a + b) / (a + b).norm()
    eye = torch.eye(3, dtype=torch.float64)
    # Two mirrors, which take a to −a and that to b; between axes every number is 0 or ±1.
    return ((eye - 2 * torch.outer(middle, middle)) @ (eye - 2 * torch.outer(a, a))).round()


def _direction(axis: Axis) -> Tensor:
    direction = torch.zeros(3, dtype=torch.float64)
    direction["xyz".index(axis[-1])] = -1.0 if axis.startswith("-") else 1.0
    return direction
