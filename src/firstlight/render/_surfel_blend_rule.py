"""How gradients pass through the blending of surfels."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.render import _surfel_blend_kernels as kernels
from firstlight.render._arrays import NO_FLOATS, Array, aligned, empty, records_of, view, workers, zeros
from firstlight.render._blend_rule import GROUP, Grid

# Without types: mypy cannot count arguments that are unpacked.
_pack_surfels: Any = kernels.pack_surfels
_blend: Any = kernels.blend_surfels
_blend_backward: Any = kernels.blend_surfels_backward
_gather: Any = kernels.gather_surfels


class _Surfels(NamedTuple):
    """Rows of surfels, whatever their leading dimensions."""

    means2d: Tensor  # [..., 2]
    ray_transforms: Tensor  # [..., 3, 3]
    colors: Tensor  # [..., D]
    opacities: Tensor  # [...]
    normals: Tensor  # [..., 3]

    def records(self, first: int) -> Tensor:
        """What the kernels read of each surfel, for the group of channels that begins at ``first``."""
        records, flat = records_of(self.opacities.numel(), kernels.RECORD)
        _pack_surfels(
            view(self.means2d, -1, 2),
            view(self.ray_transforms, -1, 9),
            view(self.colors, -1, self.colors.shape[-1]),
            view(self.opacities, -1),
            view(self.normals, -1, 3),
            first,
            flat,
            workers(),
        )
        return records


def _tag(channels: int, first: int, absgrad: bool = False) -> tuple[int, ...]:
    """The type that picks the kernel: the last group of channels comes with all the maps.

    With ``absgrad`` it comes with the worth of all channels.
    """
    if channels - first > GROUP:
        return (0,)
    return (0, 0) if absgrad and first > 0 else ()


def _backgrounds(backgrounds: Tensor | None) -> Array:
    return np.empty((0, 0), np.float32) if backgrounds is None else view(backgrounds, *backgrounds.shape)


class BlendSurfels(torch.autograd.Function):
    """Surfels [..., N] and tile lists → colours [I, H, W, D], alphas, normals, distortions and medians."""

    @staticmethod
    def forward(
        ctx: Any,
        means2d: Tensor,
        ray_transforms: Tensor,
        colors: Tensor,
        opacities: Tensor,
        normals: Tensor,
        densify: Tensor,
        backgrounds: Tensor | None,
        flatten_ids: Tensor,
        grid: Grid,
        absgrad: bool,
    ) -> tuple[Tensor, ...]:
        surfels = _Surfels(means2d, ray_transforms, colors, opacities, normals)
        channels, ends = colors.shape[-1], grid.ends
        size = (grid.images, grid.height, grid.width)
        picture, facing = empty(*size, channels), empty(*size, 3)
        alphas, distortions, medians = empty(*size), empty(*size), empty(*size)
        median_ids = torch.empty(size, dtype=torch.int32)
        stops, bounds = torch.empty(len(ends), dtype=torch.int32), grid.bounds(ends)
        maps = [t.numpy() for t in (picture, alphas, facing, distortions, medians, median_ids, stops)]
        records = empty(0)
        for first in range(0, channels, GROUP):
            records = surfels.records(first)
            _blend(
                records.view(-1).numpy(),
                view(flatten_ids, -1),
                grid.starts,
                bounds,
                grid.masks,
                _backgrounds(backgrounds),
                grid.tile_size,
                first,
                _tag(channels, first),
                *maps,
            )
        kept = records if channels <= GROUP else None
        ctx.save_for_backward(
            *surfels, backgrounds, flatten_ids, kept, stops, picture, alphas, facing, distortions, median_ids
        )
        ctx.grid, ctx.absgrad = grid, absgrad
        return picture, alphas, facing, distortions, medians

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *shapes, backgrounds, flatten_ids, kept, stops, picture, alphas, facing, distortions, median_ids = (
            ctx.saved_tensors
        )
        surfels, grid = _Surfels(*shapes), ctx.grid
        channels, parts = picture.shape[-1], workers()
        v_means2d, v_transforms, v_colors, v_opacities, v_normals = (zeros(*t.shape) for t in surfels)
        v_absolute = zeros(*(surfels.means2d.shape if ctx.absgrad else (0, 2)))
        shades = view(surfels.colors, -1, channels) if ctx.absgrad else NO_FLOATS.reshape(0, 0)
        slots, _ = aligned(parts, surfels.opacities.numel() * kernels.SLOT)
        bounds = grid.bounds(stops.numpy())
        maps = [t.numpy() for t in (picture, alphas, facing, distortions, median_ids)]
        for first in range(0, channels, GROUP):
            records = kept if kept is not None else surfels.records(first)
            _blend_backward(
                records.view(-1).numpy(),
                view(flatten_ids, -1),
                grid.starts,
                stops.numpy(),
                bounds,
                _backgrounds(backgrounds),
                grid.tile_size,
                first,
                _tag(channels, first, ctx.absgrad),
                ctx.absgrad and channels - first <= GROUP,
                shades,
                *maps,
                *(view(v, *v.shape) for v in gradients),
                slots.numpy(),
            )
            _gather(
                slots.numpy(),
                view(surfels.means2d, -1, 2),
                view(surfels.ray_transforms, -1, 9),
                view(surfels.opacities, -1),
                first,
                v_means2d.view(-1, 2).numpy(),
                v_transforms.view(-1, 9).numpy(),
                v_colors.view(-1, channels).numpy(),
                v_opacities.view(-1).numpy(),
                v_normals.view(-1, 3).numpy(),
                v_absolute.view(-1, 2).numpy(),
            )
        if ctx.absgrad:
            surfels.means2d.absgrad = v_absolute  # type: ignore[attr-defined]
        # gsplat's measure of how a step would move the centre in the picture.
        v_densify = v_transforms[..., :2, 2] * surfels.ray_transforms[..., 2:, 2]
        v_backgrounds = None
        if ctx.needs_input_grad[6]:
            v_backgrounds = ((1 - alphas)[..., None] * gradients[0]).sum((1, 2))
        v_surfels = v_means2d, v_transforms, v_colors, v_opacities, v_normals
        return (*v_surfels, v_densify, v_backgrounds, None, None, None)
