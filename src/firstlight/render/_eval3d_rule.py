"""How gradients pass through blending in space."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.render import _eval3d_kernels as kernels
from firstlight.render._arrays import Array, aligned, empty, view, workers, zeros
from firstlight.render._blend_rule import GROUP, Grid
from firstlight.render._errors import unsupported
from firstlight.render._unscented import Sensors

# Without types: mypy cannot count arguments that are unpacked.
_pack_records: Any = kernels.pack_records
_gather_slots: Any = kernels.gather_slots


def _pack(
    splats: tuple[Array, ...], opacities: Tensor, colors: Tensor, centers: Array, listed: Array, first: int
) -> Tensor:
    records, flat = aligned(opacities.numel(), kernels.RECORD)
    _pack_records(
        *splats,
        view(colors, -1, colors.shape[-1]),
        view(opacities, -1),
        centers,
        *opacities.shape[:-3:-1],
        listed,
        first,
        flat,
        workers(),
    )
    return records


class BlendInSpace(torch.autograd.Function):
    """Gaussians [..., N], colours and opacities [..., C, N], tile lists → [I, H, W, D], [I, H, W, 1]."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        colors: Tensor,
        opacities: Tensor,
        backgrounds: Tensor | None,
        viewmats: Tensor,
        flatten_ids: Tensor,
        grid: Grid,
        sensors: Sensors,
    ) -> tuple[Tensor, Tensor]:
        images, channels, ends = len(sensors.rows), colors.shape[-1], grid.ends
        picture = empty(images, grid.height, grid.width, channels)
        alphas = empty(images, grid.height, grid.width, 1)
        stops, bounds = torch.empty(len(ends), dtype=torch.int32), grid.bounds(ends)
        behind = np.empty((0, 0), np.float32) if backgrounds is None else view(backgrounds, images, channels)
        centers, rays = sensors.rays()
        listed = np.zeros(opacities.numel(), np.bool_)
        listed[view(flatten_ids, -1)] = True
        splats = view(means, -1, 3), view(quats, -1, 4), view(scales, -1, 3)
        records = empty(0)
        for first in range(0, channels, GROUP):
            records = _pack(splats, opacities, colors, centers, listed, first)
            kernels.eval3d_forward(
                records.view(-1).numpy(),
                rays.reshape(-1),
                rays.shape[-1],
                view(flatten_ids, -1),
                grid.starts,
                bounds,
                grid.masks,
                behind,
                grid.tile_size,
                first,
                _moving(rays),
                picture.numpy(),
                alphas.view(images, grid.height, grid.width).numpy(),
                stops.numpy(),
            )
        kept = records if channels <= GROUP else None
        ctx.save_for_backward(
            means, quats, scales, colors, opacities, flatten_ids, kept, stops, picture, alphas
        )
        ctx.grid, ctx.centers, ctx.rays, ctx.listed = grid, centers, rays, listed
        return picture, alphas

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_picture: Tensor, v_alphas: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.needs_input_grad[6]:
            raise unsupported(
                "rasterize_to_pixels_eval3d", "a gradient of viewmats", "gsplat has none either; detach them"
            )
        means, quats, scales, colors, opacities, flatten_ids, kept, stops, picture, alphas = ctx.saved_tensors
        grid: Grid = ctx.grid
        centers, rays, listed = ctx.centers, ctx.rays, ctx.listed
        shape, channels, parts = picture.shape[:3], picture.shape[3], workers()
        values = [zeros(*t.shape) for t in (means, quats, scales, colors, opacities)]
        v_means, v_quats, v_scales, v_colors, v_opacities = values
        splats = view(means, -1, 3), view(quats, -1, 4), view(scales, -1, 3)
        moving = _moving(rays)
        slots, _ = aligned(parts, opacities.numel() * (kernels.SLOT_MOVING if moving else kernels.SLOT))
        bounds = grid.bounds(stops.numpy())
        v_picture = v_picture.contiguous()
        for first in range(0, channels, GROUP):
            records = kept
            if records is None:
                records = _pack(splats, opacities, colors, centers, listed, first)
            flat = records.view(-1).numpy()
            kernels.eval3d_backward(
                flat,
                rays.reshape(-1),
                rays.shape[-1],
                view(flatten_ids, -1),
                grid.starts,
                stops.numpy(),
                bounds,
                grid.tile_size,
                first,
                moving,
                picture.numpy(),
                alphas.view(shape).numpy(),
                v_picture.numpy(),
                view(v_alphas, *shape),
                slots.numpy(),
            )
            _gather_slots(
                slots.numpy(),
                *splats,
                view(opacities, -1),
                centers,
                flat,
                listed,
                *opacities.shape[:-3:-1],
                first,
                moving,
                v_means.view(-1, 3).numpy(),
                v_quats.view(-1, 4).numpy(),
                v_scales.view(-1, 3).numpy(),
                v_colors.view(-1, channels).numpy(),
                v_opacities.view(-1).numpy(),
            )
        v_backgrounds = None
        if ctx.needs_input_grad[5]:
            v_backgrounds = ((1 - alphas) * v_picture).sum((1, 2))
        return (*values, v_backgrounds, None, None, None, None)


def _moving(rays: Array) -> tuple[int, ...]:
    """The type that picks the kernels: rays with origins of their own, or without."""
    return () if rays.shape[2] == 3 else (0,)
