"""Pictures by the rasteriser of what the page shows: every harmonic, full precision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firstlight.errors import InputError
from firstlight.render import NEAR, render_camera
from firstlight.scene import Cameras, Gaussians

LARGEST = 4096  # pixels a side

Pixels = npt.NDArray[np.uint8]  # [H, W, 3]


@dataclass(frozen=True)
class Kept:
    """What of a scene is shown; lengths in scene units."""

    opacity: float = 0.0  # at least
    smallest: float | None = None  # longest standard deviation, at least
    largest: float | None = None
    growth: float = 1.0  # drawn this many times as large
    box: tuple[list[float], list[float]] | None = None  # lowest and highest corner

    @staticmethod
    def from_plain(data: dict[str, Any]) -> Kept:
        """From the page's words; InputError when they are none."""
        opacity, growth = (
            _number(data.get(name, default)) for name, default in (("opacity", 0), ("growth", 1))
        )
        smallest, largest = (
            None if data.get(name) is None else _number(data[name]) for name in ("smallest", "largest")
        )
        box = None
        if data.get("box") is not None:
            corners = data["box"]
            if not isinstance(corners, list) or len(corners) != 2:
                raise InputError("box: expected two corners.")
            box = read_vector(corners[0]), read_vector(corners[1])
        if not 0.01 <= growth <= 100:
            raise InputError(f"growth {growth}: expected a number from 0.01 to 100.")
        return Kept(opacity, smallest, largest, growth, box)

    def of(self, gaussians: Gaussians) -> Gaussians:
        keep = gaussians.opacities >= self.opacity
        longest = gaussians.scales.amax(1)
        if self.smallest is not None:
            keep &= longest >= self.smallest
        if self.largest is not None:
            keep &= longest <= self.largest
        if self.box is not None:
            low, high = (torch.tensor(corner) for corner in self.box)
            keep &= ((gaussians.means >= low) & (gaussians.means <= high)).all(1)
        kept = gaussians if bool(keep.all()) else gaussians.select(keep)
        if self.growth == 1:
            return kept
        bigger = kept.log_scales + math.log(self.growth)
        return Gaussians(kept.means, kept.quats, bigger, kept.logit_opacities, kept.sh)


def take_picture(gaussians: Gaussians, camera: Cameras, background: Tensor, near: float = NEAR) -> Pixels:
    """What ``camera`` (one pinhole) sees from ``near`` on, before ``background`` [3].

    InputError when the picture is too large.
    """
    width, height = int(camera.width[0]), int(camera.height[0])
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise InputError(f"{width}×{height} pixels: expected 1 to {LARGEST} each way.")
    with torch.no_grad():
        rendered = render_camera(gaussians, camera, background=background.float(), near=near)[0]
    pixels: Pixels = (rendered.clamp(0, 1) * 255).round().byte().numpy()
    return pixels


def as_png(pixels: Pixels) -> bytes:
    _, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def read_vector(value: Any) -> list[float]:
    """Three finite numbers; InputError when it is anything else."""
    if not isinstance(value, list) or len(value) != 3:
        raise InputError(f"{str(value)[:40]!r}: expected three numbers.")
    return [_number(x) for x in value]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{str(value)[:40]!r}: expected a finite number.")
    return float(value)
