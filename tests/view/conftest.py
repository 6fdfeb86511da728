"""A scene whose directions can be told apart: red on the left, blue on the right, green above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from firstlight.scene import Cameras, Capture, Gaussians, Photo, Picture, Points

CENTER = (3.0, -2.0, 7.0)  # of the scene; no coordinate may be mistaken for another


def blob(offset: tuple[float, float, float], rgb: tuple[float, float, float], count: int = 120) -> Gaussians:
    generator = torch.Generator().manual_seed(0)
    means = 0.25 * torch.randn(count, 3, generator=generator) + torch.tensor(CENTER) + torch.tensor(offset)
    return Gaussians.isotropic(
        means, torch.tensor(rgb).repeat(count, 1), torch.full((count,), 0.08), opacity=0.8
    )


def look(eye: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """World → camera [4, 4], upright where y points down."""
    forward = torch.nn.functional.normalize(target - eye, dim=0)
    right = torch.nn.functional.normalize(
        torch.linalg.cross(torch.tensor([0.0, 1, 0]).to(eye), forward), dim=0
    )
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
    viewmat = torch.eye(4).to(eye)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ eye
    return viewmat


@dataclass
class Example:
    gaussians: Gaussians
    capture: Capture
    decoded: list[str]  # names of photos, as they are decoded


@pytest.fixture
def example() -> Example:
    """450 Gaussians in three heaps and four cameras in front; photos are yellow above, magenta below."""
    gaussians = blob((-1.5, 0, 0), (1, 0, 0)).append(blob((1.5, 0, 0), (0, 0, 1)))
    gaussians = gaussians.append(blob((0, -1.2, 0), (0, 1, 0)))
    target = torch.tensor(CENTER)
    eyes = [target + torch.tensor(at) for at in ((0.0, 0, -5), (-2, 0, -4.5), (2, 0, -4.5), (0, -2, -4.3))]
    cameras = Cameras(
        torch.stack([look(eye, target) for eye in eyes]),
        torch.tensor([[400.0, 0, 320], [0, 400, 240], [0, 0, 1]]).repeat(4, 1, 1),
        torch.full((4,), 640),
        torch.full((4,), 480),
    )
    decoded: list[str] = []

    def photo(name: str) -> Photo:
        def decode() -> Picture:
            decoded.append(name)
            rgb = np.empty((480, 640, 3), np.uint8)
            rgb[:240], rgb[240:] = (255, 255, 0), (255, 0, 255)
            return Picture(rgb)

        return Photo(name, 640, 480, decode)

    points = Points(
        gaussians.means.double(), torch.full((len(gaussians), 3), 255, dtype=torch.uint8), torch.zeros(360)
    )
    return Example(
        gaussians, Capture([photo(f"{i}.jpg") for i in range(4)], "test", cameras, points), decoded
    )
