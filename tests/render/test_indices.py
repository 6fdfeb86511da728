"""Pairs of splat and pixel against the twin and gsplat's loop; their composition against the blending."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from firstlight.render import (
    accumulate,
    isect_offset_encode,
    isect_tiles,
    rasterize_to_indices_in_range,
    rasterize_to_pixels,
    twins,
)
from tests.render.scenes import assert_gradients

WIDTH, HEIGHT = 37, 29
_list: Any = rasterize_to_indices_in_range
_accumulate: Any = accumulate
_blend: Any = rasterize_to_pixels
_twin: Any = twins.rasterize_to_indices


def _splats(images: int, count: int, seed: int = 0) -> tuple[list[Tensor], Tensor]:
    """means2d, conics, opacities; depths."""
    g = torch.Generator().manual_seed(seed)
    means2d = torch.rand(images, count, 2, generator=g) * torch.tensor([WIDTH, HEIGHT])
    root = torch.randn(images, count, 2, 2, generator=g) * 3
    inverse = torch.linalg.inv(root @ root.mT + 0.3 * torch.eye(2))
    conics = torch.stack([inverse[..., 0, 0], inverse[..., 0, 1], inverse[..., 1, 1]], -1)
    opacities = torch.rand(images, count, generator=g)
    return [means2d, conics, opacities], torch.rand(images, count, generator=g)


def _lists(splats: list[Tensor], depths: Tensor, tile: int) -> list[Tensor]:
    means2d, conics, opacities = splats
    tw, th = -(-WIDTH // tile), -(-HEIGHT // tile)
    far = torch.full(means2d.shape, 99, dtype=torch.int32)
    _, ids, flat = isect_tiles(means2d, far, depths, tile, tw, th, conics=conics, opacities=opacities)
    offsets = isect_offset_encode(ids, depths[..., 0].numel(), tw, th)
    return [offsets.view(*depths.shape[:-1], th, tw), flat]


@pytest.mark.parametrize("tile", [5, 16, 32])
@pytest.mark.parametrize("images", [1, 2])
def test_pairs_are_the_twin(tile: int, images: int) -> None:
    splats, depths = _splats(images, 60)
    light = torch.ones(images, HEIGHT, WIDTH)
    found = _list(0, 1e10, light, *splats, WIDTH, HEIGHT, tile, *_lists(splats, depths, tile))
    wanted = _twin(*(t.double() for t in splats), depths, WIDTH, HEIGHT)
    assert len(found[0]) > 5000
    assert all(ids.dtype == torch.int64 for ids in found)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)


def test_tiles_beyond_the_picture_change_nothing() -> None:
    splats, depths = _splats(2, 60)
    light = torch.ones(2, HEIGHT, WIDTH)
    far = torch.full(splats[0].shape, 99, dtype=torch.int32)
    _, ids, flat = isect_tiles(splats[0], far, depths, 16, 5, 4)
    larger = [isect_offset_encode(ids, 2, 5, 4), flat]
    found = _list(0, 1e10, light, *splats, WIDTH, HEIGHT, 16, *larger)
    wanted = _list(0, 1e10, light, *splats, WIDTH, HEIGHT, 16, *_lists(splats, depths, 16))
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("tile", [4, 16])
def test_all_ranges_together_are_the_picture(tile: int) -> None:
    """gsplat's loop: a few batches at a time, each composed and laid behind what came before."""
    splats, depths = _splats(2, 150)
    lists = _lists(splats, depths, tile)
    g = torch.Generator().manual_seed(1)
    colors = torch.rand(2, 150, 5, generator=g)
    ours, theirs = ([t.clone().requires_grad_() for t in (*splats, colors)] for _ in range(2))
    renders, alphas = torch.zeros(2, HEIGHT, WIDTH, 5), torch.zeros(2, HEIGHT, WIDTH, 1)
    steps = 0
    while True:
        light = 1 - alphas[..., 0]
        ids = _list(steps, steps + 1, light.detach(), *splats, WIDTH, HEIGHT, tile, *lists)
        if len(ids[0]) == 0:
            break
        means2d, conics, opacities, shades = ours
        more, covered = _accumulate(means2d, conics, opacities, shades, *ids, WIDTH, HEIGHT)
        renders = renders + more * light[..., None]
        alphas = alphas + covered * light[..., None]
        steps += 1
    assert steps > 1 or tile == 16
    means2d, conics, opacities, shades = theirs
    picture, wanted = _blend(means2d, conics, shades, opacities, WIDTH, HEIGHT, tile, *lists)
    # The kernels' exp is a series, which decides where alpha is close to 1/255; a pixel ends at 1e-4.
    for found, blended in ((renders, picture), (alphas, wanted)):
        assert (found - blended).abs().max() < 5e-3
        assert (found - blended).abs().mean() < 5e-5
    weights = torch.randn(renders.shape, generator=g)
    torch.autograd.backward([renders, picture], [weights, weights])
    for a, b in zip(ours, theirs, strict=True):
        assert_gradients(a.grad, b.grad, 5e-3)


def test_any_order_that_has_each_pixel_front_to_back() -> None:
    splats, depths = _splats(2, 40)
    means2d, conics, opacities = splats
    colors = torch.rand(2, 40, 3, generator=torch.Generator().manual_seed(2))
    light = torch.ones(2, HEIGHT, WIDTH)
    ids = _list(0, 100, light, *splats, WIDTH, HEIGHT, 16, *_lists(splats, depths, 16))
    picture, alphas = _accumulate(means2d, conics, opacities, colors, *ids, WIDTH, HEIGHT)
    by_pixel = torch.argsort(ids[1], stable=True)  # images mixed
    other, _ = _accumulate(means2d, conics, opacities, colors, *(t[by_pixel] for t in ids), WIDTH, HEIGHT)
    assert torch.equal(picture, other)
    batched = [t.view(2, 1, *t.shape[1:]) for t in (means2d, conics, opacities, colors)]
    assert _accumulate(*batched, *ids, WIDTH, HEIGHT)[0].shape == (2, 1, HEIGHT, WIDTH, 3)
    assert alphas.shape == (2, HEIGHT, WIDTH, 1)


def test_composition_passes_finite_differences() -> None:
    """Once and twice: torch differentiates it as often as one likes."""
    splats, _ = _splats(1, 3, seed=3)
    leaves = [t.double() for t in (*splats, torch.rand(1, 3, 2))]
    leaves[2] = torch.tensor([[0.5, 0.6, 0.7]], dtype=torch.float64)
    leaves = [t.requires_grad_() for t in leaves]
    pixels = torch.tensor([0, 0, 1, 1, 1, 2])
    gaussians = torch.tensor([0, 2, 1, 0, 2, 1])
    leaves[0].data[0] = torch.tensor([[0.2, 0.4], [1.7, 0.6], [1.1, 0.3]])

    def compose(*inputs: Tensor) -> Any:
        return _accumulate(*inputs, gaussians, pixels, torch.zeros_like(pixels), 3, 1)

    assert torch.autograd.gradcheck(compose, tuple(leaves))
    assert torch.autograd.gradgradcheck(compose, tuple(leaves))


def test_an_opaque_pixel_ends_its_list() -> None:
    means2d, conics = torch.full((1, 20, 2), 0.5), torch.tensor([1e-3, 0.0, 1e-3]).repeat(1, 20, 1)
    opacities = torch.full((1, 20), 0.8)
    lists = (torch.zeros(1, 1, 1, dtype=torch.int32), torch.arange(20, dtype=torch.int32))
    splats = (means2d, conics, opacities)
    ids = _list(0, 1e10, torch.ones(1, 1, 1), *splats, 1, 1, 16, *lists)[0]
    assert ids.tolist() == [0, 1, 2, 3, 4]  # 0.2⁵ > 1e-4 ≥ 0.2⁶
    ids = _list(0, 1e10, torch.full((1, 1, 1), 0.05), *splats, 1, 1, 16, *lists)[0]
    assert ids.tolist() == [0, 1, 2]
    assert len(_list(1, 1e10, torch.ones(1, 1, 1), *splats, 1, 1, 16, *lists)[0]) == 0
    assert _list(1, 3, torch.ones(1, 1, 1), *splats, 1, 1, 2, *lists)[0].tolist() == [4, 5, 6, 7, 8]


def test_wrong_input_is_named() -> None:
    splats, depths = _splats(1, 5)
    lists = _lists(splats, depths, 16)
    with pytest.raises(AssertionError, match="transmittances: expected shape"):
        _list(0, 1, torch.ones(1, 3, 3), *splats, WIDTH, HEIGHT, 16, *lists)
    with pytest.raises(ValueError, match="do not cover a picture"):
        _list(0, 1, torch.ones(1, 90, WIDTH), *splats, WIDTH, 90, 16, *lists)
    ids = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ValueError, match="as many"):
        _accumulate(*splats, torch.zeros(1, 5, 3), ids, ids, ids[:3], 4, 4)
    with pytest.raises(ValueError, match="colors: expected shape"):
        _accumulate(*splats, torch.zeros(1, 4, 3), ids, ids, ids, 4, 4)
