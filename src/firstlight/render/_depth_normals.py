"""Surfaces from depth maps."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.render import _depth_normals_kernels as kernels
from firstlight.render._arrays import Array, differentiable, view, workers, zeros
from firstlight.render._errors import ShapeError


def depth_to_points(depths: Tensor, camtoworlds: Tensor, Ks: Tensor, z_depth: bool = True) -> Tensor:
    """Points [..., H, W, 3] in the world's axes that a pinhole camera sees at ``depths`` [..., H, W, 1].

    ``camtoworlds`` are [..., 4, 4], ``Ks`` [..., 3, 3] with pixel centres at +0.5. Depths are distances along
    the camera's axis, or along the ray where ``z_depth`` is False. gsplat has this as ``gsplat.utils``.
    Gradients flow to all three. ShapeError for shapes that do not fit.
    """
    _check(depths, camtoworlds, Ks)
    height, width = depths.shape[-3:-1]
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

    From the central differences of ``depth_to_points``; zeros, which pass no gradient, at the picture's
    border and where all four neighbours coincide, as in a picture's holes. Arguments, gradients and errors
    are those of ``depth_to_points``. Kernels do the work where depths are float32, along the axis, and
    cameras need no gradient.
    """
    _check(depths, camtoworlds, Ks)
    cameras_move = torch.is_grad_enabled() and (camtoworlds.requires_grad or Ks.requires_grad)
    if z_depth and not cameras_move and depths.dtype == torch.float32 and depths.device.type == "cpu":
        normals: Tensor = differentiable(_Normals, depths, camtoworlds.float(), Ks.float())
        return normals
    points = depth_to_points(depths, camtoworlds, Ks, z_depth)
    height, width = points.shape[-3:-1]
    if height < 3 or width < 3:
        return torch.zeros_like(points)
    down = points[..., 2:, 1:-1, :] - points[..., :-2, 1:-1, :]
    right = points[..., 1:-1, 2:, :] - points[..., 1:-1, :-2, :]
    across = torch.linalg.cross(down, right)
    length = across.norm(dim=-1, keepdim=True)
    # Not ``normalize``: it passes a gradient of 1e12 where there is no direction, as in a picture's holes.
    squares = (down.square() + right.square()).sum(-1, keepdim=True)
    there = length > kernels.SHORT * squares
    facing = torch.where(there, across / torch.where(there, length, 1.0), 0.0)
    return torch.nn.functional.pad(facing, (0, 0, 1, 1, 1, 1))


class _Normals(torch.autograd.Function):
    """depths [..., H, W, 1] of cameras that stay → normals [..., H, W, 3]."""

    @staticmethod
    def forward(ctx: Any, depths: Tensor, camtoworlds: Tensor, Ks: Tensor) -> Tensor:
        ctx.save_for_backward(depths, camtoworlds, Ks)
        normals = zeros(*depths.shape[:-1], 3)
        images = math.prod(depths.shape[:-3])
        maps = view(normals, images, *normals.shape[-3:])
        kernels.normals_of_depths(*_arrays(depths, camtoworlds, Ks), maps, workers())
        return normals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_normals: Tensor) -> tuple[Tensor | None, ...]:
        depths, camtoworlds, Ks = ctx.saved_tensors
        v_depths, images = zeros(*depths.shape), math.prod(depths.shape[:-3])
        kernels.normals_of_depths_backward(
            *_arrays(depths, camtoworlds, Ks),
            view(v_normals, images, *v_normals.shape[-3:]),
            view(v_depths, images, *v_depths.shape[-3:-1]),
            workers(),
        )
        return v_depths, None, None


def _arrays(depths: Tensor, camtoworlds: Tensor, Ks: Tensor) -> tuple[Array, Array, Array]:
    images = math.prod(depths.shape[:-3])
    return (
        view(depths, images, *depths.shape[-3:-1]),
        view(camtoworlds, images, 4, 4),
        view(Ks, images, 3, 3),
    )


def _check(depths: Tensor, camtoworlds: Tensor, Ks: Tensor) -> None:
    batch = depths.shape[:-3]
    if depths.dim() < 3 or depths.shape[-1] != 1:
        raise ShapeError(f"depths: expected shape [..., H, W, 1], got {list(depths.shape)}")
    if camtoworlds.shape != (*batch, 4, 4) or Ks.shape != (*batch, 3, 3):
        raise ShapeError(
            f"expected camtoworlds {[*batch, 4, 4]} and Ks {[*batch, 3, 3]} beside depths "
            f"{list(depths.shape)}, got {list(camtoworlds.shape)} and {list(Ks.shape)}"
        )
