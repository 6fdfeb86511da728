"""What each format costs and keeps, measured on a real scene, as docs/formats.md.

    python benchmarks/formats.py SCENE [SCENE …] [--page docs/formats.md] [--pictures 4] [--max-size 480]

A SCENE is a run folder, whose own cameras look at it, or a scene file, around which a ring of them is put.
Each is written in every format, read back and rendered; the picture of what was read is compared with that
of the original. Other programs then read the same files (tests/files/independent.py; SPLAT_TRANSFORM names the
command of PlayCanvas's converter), and what they read is compared with what we read.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from firstlight.files import FORMATS, Format, load_gaussians, scene_file
from firstlight.pipeline.machine import machine, package_version
from firstlight.render import render_camera
from firstlight.scene import Cameras, Gaussians

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.files.independent import READERS, differences, installed

# A difference to our own reading that is rounding, not another opinion of the format.
SAME = {"means": 1e-3, "scales": 1e-2, "rotations": 1e-3, "opacities": 5e-3, "colours": 5e-3, "harmonics": 5e-3}


@dataclass
class Row:
    """One format of one scene."""

    format: Format
    size: int = 0  # bytes
    seconds: tuple[float, float] = (0.0, 0.0)  # to write, to read
    psnr: float = math.inf
    lost: dict[str, float] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)


def cameras_of(path: Path, scene: Gaussians, count: int, max_size: int) -> Cameras:
    """Of a run: some of its own, evenly spaced by name; else a ring around the middle of the scene."""
    poses = path / "poses.json"
    if not poses.is_file():
        return ring(scene, count, max_size)
    photos = [p for p in json.loads(poses.read_text())["photos"] if p["placed"] and p["model"] == "pinhole"]
    photos = [photos[len(photos) * i // count] for i in range(min(count, len(photos)))]
    return Cameras(
        torch.tensor([photo["viewmat"] for photo in photos]),
        torch.tensor([photo["K"] for photo in photos]),
        torch.tensor([photo["width"] for photo in photos]),
        torch.tensor([photo["height"] for photo in photos]),
    ).fit(max_size)


def ring(scene: Gaussians, count: int, max_size: int) -> Cameras:
    """Cameras around the scene, level (y is down), far enough to see nine tenths of it."""
    middle = scene.means.median(0).values
    radius = float((scene.means - middle).norm(dim=1).quantile(0.9))
    angle = torch.arange(count) / count * 2 * torch.pi
    outwards = torch.stack([angle.cos(), torch.full_like(angle, -0.3), angle.sin()], 1)
    forward = -torch.nn.functional.normalize(outwards, dim=1)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([[0.0, 1, 0]]), forward), dim=1)
    viewmats = torch.eye(4).repeat(count, 1, 1)
    viewmats[:, :3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], 1)
    centers = middle - 2.2 * radius * forward
    viewmats[:, :3, 3] = -(viewmats[:, :3, :3] @ centers[:, :, None])[..., 0]
    K = torch.tensor([[max_size, 0, max_size / 2], [0, max_size, max_size * 3 / 8], [0, 0, 1.0]])
    size = torch.ones(count, dtype=torch.long)
    return Cameras(viewmats, K.repeat(count, 1, 1), max_size * size, max_size * 3 // 4 * size)


@torch.no_grad()
def pictures(scene: Gaussians, cameras: Cameras) -> list[Tensor]:
    return [render_camera(scene, cameras.select([i]))[0].clamp(0, 1) for i in range(len(cameras))]


def psnr(a: list[Tensor], b: list[Tensor]) -> float:
    """Of the mean squared error over all pictures; infinite where they are the same."""
    error = float(torch.stack([(x - y).square().mean() for x, y in zip(a, b, strict=True)]).mean())
    return -10 * math.log10(error) if error else math.inf
