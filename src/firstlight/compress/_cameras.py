"""Cameras to look at a scene with: a run's own, or some around it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from firstlight.errors import InputError
from firstlight.render import near_for
from firstlight.scene import Cameras, Gaussians, look_at

SAMPLE = 10_000  # Gaussians that say how far a scene is away


def near_plane(gaussians: Gaussians, cameras: Cameras) -> float:
    """Where pictures begin, for a scene as large as it is far away; a scene file says no more of its unit."""
    some = gaussians.means[:: max(1, len(gaussians) // SAMPLE)]
    return near_for(float(torch.cdist(some, cameras.centers).median()))


def cameras_of_run(folder: Path, max_size: int) -> Cameras | None:
    """Those of the photos of a run, at most ``max_size`` pixels; None where it has none that can be used.

    The bending of lenses is left out: renders are compared with renders. InputError for a damaged file.
    """
    path = folder / "poses.json"
    if not path.is_file():
        return None
    try:
        rows = [row for row in json.loads(path.read_text())["photos"] if row["placed"]]
        cameras = _cameras([row for row in rows if row["model"] == "pinhole"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}). 'firstlight fit' writes it.") from error
    if cameras is None:
        return None
    smaller = (max_size / torch.maximum(cameras.width, cameras.height)).clamp(max=1)
    width, height = ((side * smaller).round().long().clamp(min=1) for side in (cameras.width, cameras.height))
    return cameras.resized(width, height)


def _cameras(rows: list[dict[str, Any]]) -> Cameras | None:
    if not rows:
        return None
    return Cameras(
        torch.tensor([row["viewmat"] for row in rows], dtype=torch.float32),
        torch.tensor([row["K"] for row in rows], dtype=torch.float32),
        torch.tensor([int(row["width"]) for row in rows]),
        torch.tensor([int(row["height"]) for row in rows]),
    )


def cameras_around(gaussians: Gaussians, count: int, max_size: int) -> Cameras:
    """``count`` on a ring around the middle of a scene whose y is down, two at a height in turn.

    Far enough to see nine tenths of it; right for an object, a makeshift for rooms and landscapes.
    """
    middle = gaussians.means.median(0).values
    away = (gaussians.means - middle).norm(dim=1)
    # Not ``quantile``, which refuses more than 2^24 numbers.
    radius = float(away.kthvalue(max(1, round(0.9 * len(away)))).values)
    angle = torch.arange(count) / count * 2 * torch.pi
    height = torch.where(torch.arange(count) % 4 < 2, -0.1, -0.5)
    outwards = torch.nn.functional.normalize(torch.stack([angle.cos(), height, angle.sin()], 1), dim=1)
    centers = middle + 2.2 * max(radius, 1e-6) * outwards
    viewmats = look_at(centers, middle, torch.tensor([0.0, 1.0, 0.0]))
    wide, high = max_size, max_size * 3 // 4
    K = torch.tensor([[wide, 0, wide / 2], [0, wide, high / 2], [0, 0, 1.0]])
    size = torch.ones(count, dtype=torch.long)
    return Cameras(viewmats, K.repeat(count, 1, 1), wide * size, high * size)
