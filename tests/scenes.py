"""Random scenes and cameras that tests of several rooms use."""

from __future__ import annotations

import torch
from torch import Tensor

from firstlight.scene import Cameras, Gaussians
from firstlight.scene.rotation import quat_to_rotmat
from firstlight.scene.sh import sh_count


def random_gaussians(count: int, degree: int = 3, seed: int = 0) -> Gaussians:
    """Elongated, turned, coloured: nothing about them is symmetric. float32."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((3,), (4,), (3,), (), (sh_count(degree), 3))
    means, quats, log_scales, logits, sh = (torch.randn(count, *s, generator=generator) for s in shapes)
    return Gaussians(means, quats, 0.7 * log_scales - 2, logits, 0.3 * sh)


def looking_at(centers: Tensor, target: Tensor, width: int = 64, height: int = 48) -> Cameras:
    """Cameras at ``centers`` [C, 3] turned to ``target`` [3], y down, no two of them rolled alike."""
    forward = torch.nn.functional.normalize(target - centers, dim=-1)
    down = torch.tensor([0.1, 1.0, 0.2], dtype=centers.dtype).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(down, forward), dim=-1)
    rotations = torch.stack([right, torch.linalg.cross(forward, right), forward], 1)
    viewmats = torch.eye(4, dtype=centers.dtype).repeat(len(centers), 1, 1)
    viewmats[:, :3, :3] = rotations
    viewmats[:, :3, 3] = -(rotations @ centers[:, :, None]).squeeze(-1)
    K = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], dtype=centers.dtype)
    size = torch.ones(len(centers), dtype=torch.long)
    return Cameras(viewmats, K.repeat(len(centers), 1, 1), width * size, height * size)


def ring(count: int, radius: float = 4.0, dtype: torch.dtype = torch.float32) -> Cameras:
    """``count`` cameras around the origin, looking at it."""
    angle = torch.arange(count, dtype=dtype) / count * 2 * torch.pi
    centers = torch.stack([radius * angle.cos(), 0.3 * (3 * angle).sin(), radius * angle.sin()], -1)
    return looking_at(centers, torch.zeros(3, dtype=dtype))


def random_rotation(seed: int = 0) -> Tensor:
    """A rotation matrix [3, 3], float64."""
    generator = torch.Generator().manual_seed(seed)
    return quat_to_rotmat(torch.randn(4, dtype=torch.float64, generator=generator))
