"""Dilated pictures (Turbo-GS, Lu et al. 2024): one pixel of each d × d is rendered, where it lies."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from firstlight.scene import Cameras


class Lattice:
    """Pixels x0 + d·i, y0 + d·j of a picture; x0 and y0 are drawn anew for each step."""

    def __init__(self, every: int, generator: torch.Generator) -> None:
        self.every = every
        self.x0, self.y0 = torch.randint(every, (2,), generator=generator).tolist()

    def of_picture(self, picture: Tensor) -> Tensor:
        """[H, W, ...] → [⌈(H − y0) / d⌉, ⌈(W − x0) / d⌉, ...]"""
        return picture[self.y0 :: self.every, self.x0 :: self.every].contiguous()

    def of_camera(self, camera: Cameras) -> Cameras:
        """The one ``camera`` whose pixel centres are those of the lattice."""
        Ks = camera.Ks.clone()
        offset = torch.tensor([self.x0 + 0.5, self.y0 + 0.5], dtype=Ks.dtype)
        Ks[:, :2, 2] = (Ks[:, :2, 2] - offset) / self.every + 0.5
        Ks[:, [0, 1], [0, 1]] /= self.every
        width = (camera.width - self.x0 + self.every - 1) // self.every
        height = (camera.height - self.y0 + self.every - 1) // self.every
        return replace(camera, Ks=Ks, width=width, height=height)
