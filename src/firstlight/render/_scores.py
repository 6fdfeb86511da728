"""What each splat does for the picture: the numbers that methods grow and prune by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from firstlight.render import _scores_kernels as kernels
from firstlight.render._arrays import NO_FLOATS, aligned, check_shape, empty, view
from firstlight.render._blend import make_grid
from firstlight.render._blend_rule import pack
from firstlight.render._errors import ShapeError


class Scores(NamedTuple):
    """Sums over the pixels that a splat reaches (alpha at least 1/255), where w is what it adds to a pixel:
    its alpha times the light that the splats before it let through.
    """

    weight: Tensor  # Σ w
    hits: Tensor  # how many pixels, int32
    max_weight: Tensor  # the largest w
    error: Tensor  # Σ w · error of the pixel
    pixel_error: Tensor  # Σ error of the pixel

    def of_gaussians(self, meta: Mapping[str, Any], count: int) -> Scores:
        """The same for each of ``count`` Gaussians [..., N], all pictures of ``meta`` together."""
        if meta["gaussian_ids"] is None:
            return Scores(*(t.amax(-2) if t is self.max_weight else t.sum(-2, dtype=t.dtype) for t in self))
        rows = meta["batch_ids"] * count + meta["gaussian_ids"]

        def gathered(values: Tensor) -> Tensor:
            total = values.new_zeros(meta["n_batches"] * count)
            if values is self.max_weight:
                total.scatter_reduce_(0, rows, values, "amax")
            else:
                total.index_add_(0, rows, values)
            return total.view(*meta["isect_offsets"].shape[:-3], count)

        return Scores(*(gathered(t) for t in self))


@torch.no_grad()
def splat_scores(meta: Mapping[str, Any], errors: Tensor | None = None) -> Scores:
    """Score every splat of a picture that ``rasterization`` made, from the notes that came with it.

    A walk through the tiles of its own, like blending forwards but without colours. ``errors``
    [..., C, H, W] says how wrong each pixel is (any number, negative ones too); without it the two sums of
    errors are 0. Scores are [..., C, N], or [nnz] where the notes are packed, as ``meta["opacities"]``; no
    gradients. Taming 3DGS (Mallick et al. 2024) samples new Gaussians by such sums, Mini-Splatting (Fang and
    Wang 2024) keeps the best by them.
    Splats blended in space (``with_eval3d``) are scored as they would be in the picture plane.
    ShapeError where ``errors`` does not fit or the notes are of surfels, which have no scores. TypeError
    unless ``errors`` is float32 on the CPU.
    """
    if "conics" not in meta:
        raise ShapeError("splat_scores: surfels have no scores; give the notes of rasterization")
    offsets, opacities = meta["isect_offsets"], meta["opacities"]
    width, height = meta["width"], meta["height"]
    if errors is not None:
        check_shape("errors", errors, *offsets.shape[:-2], height, width)
    grid, ids = make_grid(width, height, meta["tile_size"], offsets, meta["flatten_ids"])
    bounds = grid.bounds(grid.ends)
    records = pack(
        meta["means2d"], meta["conics"], opacities[..., None], opacities, 0
    )  # colours do not matter
    slots, _ = aligned(len(bounds) - 1, opacities.numel() * kernels.SLOT)
    kernels.score(
        records.view(-1).numpy(),
        view(ids, -1),
        grid.starts,
        bounds,
        grid.tile_size,
        width,
        height,
        NO_FLOATS.reshape(0, 0, 0) if errors is None else view(errors, grid.images, height, width),
        slots.numpy(),
    )
    scores = empty(kernels.SCORES, opacities.numel())
    kernels.gather_scores(slots.numpy(), scores.numpy())
    weight, hits, error, pixel_error, max_weight = (row.view(opacities.shape) for row in scores)
    return Scores(weight, hits.to(torch.int32), max_weight, error, pixel_error)
