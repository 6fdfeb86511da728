"""Surfaces from depth maps."""

import torch
from torch import Tensor

from firstlight.render._errors import ShapeError


def depth_to_points(depths: Tensor, camtoworlds: Tensor, Ks: Tensor, z_depth: bool = True) -> Tensor:
    """Points [..., H, W, 3] in the world's axes that a pinhole camera sees at ``depths`` [..., H, W, 1].

    ``camtoworlds`` are [..., 4, 4], ``Ks`` [..., 3, 3] with pixel centres at +0.5. Depths are distances along
    the camera's axis, or along the ray where ``z_depth`` is False. gsplat has this as ``gsplat.utils``.
    Gradients flow to all three. ShapeError for shapes that do not fit.
    """
    batch, (height, width) = depths.shape[:-3], depths.shape[-3:-1]
    if depths.dim() < 3 or depths.shape[-1] != 1:
        raise ShapeError(f"depths: expected shape [..., H, W, 1], got {list(depths.shape)}")
    if camtoworlds.shape != (*batch, 4, 4) or Ks.shape != (*batch, 3, 3):
        raise ShapeError(
            f"expected camtoworlds {[*batch, 4, 4]} and Ks {[*batch, 3, 3]} beside depths "
            f"{list(depths.shape)}, got {list(camtoworlds.shape)} and {list(Ks.shape)}"
        )
    x = (torch.arange(width).to(depths) + 0.5 - Ks[..., None, 0, 2]) / Ks[..., None, 0, 0]  # [..., W]
    y = (torch.arange(height).to(depths) + 0.5 - Ks[..., None, 1, 2]) / Ks[..., None, 1, 1]  # [..., H]
    W = camtoworlds[..., None, None, :3, :3]
    across = x[..., None, :, None] * W[..., 0] + W[..., 2]  # [..., 1, W, 3]
    rays = across + y[..., :, None, None] * W[..., 1]  # [..., H, W, 3]
    if not z_depth:
        rays = torch.nn.functional.normalize(rays, dim=-1)
    return camtoworlds[..., None, None, :3, 3] + depths * rays


def depth_to_normal(depths: Tensor, camtoworlds: Tensor, Ks: Tensor, z_depth: bool = True) -> Tensor:
    """Normals [..., H, W, 3] in the world's axes of the surface at ``depths``, turned to the camera.

    From the central differences of ``depth_to_points``; zeros at the picture's border and where all four
    neighbours coincide. Arguments, gradients and errors are those of ``depth_to_points``.
    """
    points = depth_to_points(depths, camtoworlds, Ks, z_depth)
    height, width = points.shape[-3:-1]
    if height < 3 or width < 3:
        return torch.zeros_like(points)
    down = points[..., 2:, 1:-1, :] - points[..., :-2, 1:-1, :]
    right = points[..., 1:-1, 2:, :] - points[..., 1:-1, :-2, :]
    normals = torch.nn.functional.normalize(torch.linalg.cross(down, right), dim=-1)
    return torch.nn.functional.pad(normals, (0, 0, 1, 1, 1, 1))
