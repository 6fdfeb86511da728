"""How gradients pass through blending."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.render import _blend_kernels as kernels
from firstlight.render._arrays import NO_FLOATS, Array, aligned, balanced, empty, records_of, view, workers

GROUP = 4  # channels that one pass blends


class Grid(NamedTuple):
    """The picture and its tiles."""

    width: int
    height: int
    tile_size: int
    starts: Array  # [tiles + 1] int32: where each tile's list begins
    masks: Array  # [tiles] bool, or empty

    @property
    def images(self) -> int:
        """How many pictures there are."""
        return (len(self.starts) - 1) // (
            -(-self.width // self.tile_size) * -(-self.height // self.tile_size)
        )

    @property
    def begins(self) -> Array:
        """Where the list of each block begins [blocks] int32."""
        return np.repeat(self.starts[:-1], (-(-self.tile_size // kernels.TILE)) ** 2)

    @property
    def ends(self) -> Array:
        """Where the list of each block ends [blocks] int32."""
        return np.repeat(self.starts[1:], (-(-self.tile_size // kernels.TILE)) ** 2)

    def bounds(self, stops: Array) -> Array:
        """Blocks for each thread [chunks + 1], where each block's splats are looked at up to ``stops``."""
        return balanced(np.append(0, np.cumsum(stops - self.begins, dtype=np.int64)), workers())


def _tag(channels: int, first: int, absgrad: bool = False) -> tuple[int, ...]:
    """The type that picks the kernel for this group: three, four, or four with the worth of all."""
    if absgrad and first == 0 and channels > GROUP:
        return (0,) * 5
    return (0,) * (3 if channels - first <= 3 else 4)


def pack(means2d: Tensor, conics: Tensor, colors: Tensor, opacities: Tensor, first: int) -> Tensor:
    """The kernels' records [M, RECORD], with the channels from ``first`` on."""
    records, flat = records_of(opacities.numel(), kernels.RECORD)
    kernels.pack_records(
        view(means2d, -1, 2),
        view(conics, -1, 3),
        view(colors, -1, colors.shape[-1]),
        view(opacities, -1),
        first,
        flat,
        workers(),
    )
    return records


class Blend(torch.autograd.Function):
    """Splats [..., N] and tile lists → colours [I, H, W, D], alphas [I, H, W, 1]."""

    @staticmethod
    def forward(
        ctx: Any,
        means2d: Tensor,
        conics: Tensor,
        colors: Tensor,
        opacities: Tensor,
        backgrounds: Tensor | None,
        flatten_ids: Tensor,
        grid: Grid,
        absgrad: bool,
    ) -> tuple[Tensor, Tensor]:
        channels, images = colors.shape[-1], grid.images
        picture = empty(images, grid.height, grid.width, channels)
        alphas = empty(images, grid.height, grid.width, 1)
        ends = grid.ends
        stops, bounds = torch.empty(len(ends), dtype=torch.int32), grid.bounds(ends)
        behind = np.empty((0, 0), np.float32) if backgrounds is None else view(backgrounds, images, channels)
        records = empty(0)
        for first in range(0, channels, GROUP):
            records = pack(means2d, conics, colors, opacities, first)
            kernels.blend_forward(
                records.view(-1).numpy(),
                view(flatten_ids, -1),
                grid.starts,
                bounds,
                grid.masks,
                behind,
                grid.tile_size,
                first,
                _tag(channels, first),
                picture.numpy(),
                alphas.view(images, grid.height, grid.width).numpy(),
                stops.numpy(),
            )
        kept = records if channels <= GROUP else None
        ctx.save_for_backward(means2d, conics, colors, opacities, flatten_ids, kept, stops, picture, alphas)
        ctx.grid, ctx.absgrad = grid, absgrad
        return picture, alphas

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_picture: Tensor, v_alphas: Tensor) -> tuple[Tensor | None, ...]:
        means2d, conics, colors, opacities, flatten_ids, kept, stops, picture, alphas = ctx.saved_tensors
        grid: Grid = ctx.grid
        absgrad: bool = ctx.absgrad
        shape, channels, parts = picture.shape[:3], picture.shape[3], workers()
        v_means2d, v_conics = empty(*means2d.shape), empty(*conics.shape)
        v_colors, v_opacities = empty(*colors.shape), empty(*opacities.shape)
        v_absolute = empty(*(means2d.shape if absgrad else (0, 2)))
        shades = view(colors, -1, channels) if absgrad else NO_FLOATS.reshape(0, 0)
        slots, _ = aligned(parts, opacities.numel() * kernels.SLOT)
        bounds = grid.bounds(stops.numpy())
        v_picture = v_picture.contiguous()
        for first in range(0, channels, GROUP):
            records = kept if kept is not None else pack(means2d, conics, colors, opacities, first)
            kernels.blend_backward(
                records.view(-1).numpy(),
                view(flatten_ids, -1),
                grid.starts,
                stops.numpy(),
                bounds,
                grid.tile_size,
                first,
                _tag(channels, first, absgrad),
                absgrad and first == 0,
                shades,
                picture.numpy(),
                alphas.view(shape).numpy(),
                v_picture.numpy(),
                view(v_alphas, *shape),
                slots.numpy(),
            )
            kernels.gather_slots(
                slots.numpy(),
                view(conics, -1, 3),
                view(opacities, -1),
                first,
                v_means2d.view(-1, 2).numpy(),
                v_conics.view(-1, 3).numpy(),
                v_colors.view(-1, channels).numpy(),
                v_opacities.view(-1).numpy(),
                v_absolute.view(-1, 2).numpy(),
            )
        if absgrad:
            means2d.absgrad = v_absolute
        v_backgrounds = None
        if ctx.needs_input_grad[4]:
            v_backgrounds = ((1 - alphas) * v_picture).sum((1, 2))
        return v_means2d, v_conics, v_colors, v_opacities, v_backgrounds, None, None, None
