"""Sparse points where there are enough, random ones where not."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from firstlight.scene import Capture, Gaussians
from firstlight.starts.random_box import RandomBox
from firstlight.starts.sfm_points import SfmPoints


@dataclass(frozen=True)
class PointsOrRandom:
    """``SfmPoints``, or ``RandomBox`` for a capture with fewer than ``fewest`` usable points."""

    opacity: float = 0.1
    scale: float = 1.0  # times the gap between neighbours
    fewest: int = 100
    random: int = 20_000  # Gaussians of a random start

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras."""
        start = SfmPoints(self.opacity, self.scale)
        if start.found_in(capture) >= self.fewest:
            return start(capture, generator)
        return RandomBox(self.random, self.opacity, self.scale)(capture, generator)
