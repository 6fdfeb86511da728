"""Blending: kernels against the twin, the twin against finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from firstlight.render import ShapeError, isect_offset_encode, isect_tiles, rasterize_to_pixels, twins
from firstlight.render._arrays import records_of
from tests.render.scenes import assert_gradients, assert_pictures

# Without types: mypy cannot count tensors that are unpacked from a list.
_blend: Any = rasterize_to_pixels
_twin: Any = twins.rasterize_to_pixels


def _splats(seed: int, images: int, count: int, channels: int, width: int, height: int) -> list[Tensor]:
    """means2d, conics, colours, opacities, and radii and depths to sort them by."""
    g = torch.Generator().manual_seed(seed)
    means2d = torch.rand(images, count, 2, generator=g) * torch.tensor([width, height])
    root = torch.randn(images, count, 2, 2, generator=g) * 0.15 * (width + height) ** 0.7
    covariance = root @ root.mT + 0.3 * torch.eye(2)
    inverse = torch.linalg.inv(covariance)
    conics = torch.stack([inverse[..., 0, 0], inverse[..., 0, 1], inverse[..., 1, 1]], -1)
    opacities = torch.rand(images, count, generator=g) * 1.0
    radii = (3.4 * covariance.diagonal(dim1=-2, dim2=-1).sqrt()).ceil().int()
    colors = torch.randn(images, count, channels, generator=g)
    return [means2d, conics, colors, opacities, radii, torch.rand(images, count, generator=g)]


def _lists(
    means2d: Tensor, radii: Tensor, depths: Tensor, tile: int, width: int, height: int
) -> list[Tensor]:
    tw, th = -(-width // tile), -(-height // tile)
    _, isect_ids, flatten_ids = isect_tiles(means2d, radii, depths, tile, tw, th)
    return [isect_offset_encode(isect_ids, len(means2d), tw, th), flatten_ids]


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
@pytest.mark.parametrize(
    ("images", "count", "width", "height", "tile"),
    [
        (1, 60, 37, 29, 16),
        (2, 40, 16, 16, 16),
        (1, 8, 1, 1, 16),
        (1, 40, 23, 31, 5),
        (2, 30, 40, 9, 8),
        (2, 50, 70, 45, 32),
        (1, 50, 53, 70, 20),
        (1, 50, 60, 30, 64),
    ],
)
def test_kernel_is_the_twin(
    channels: int, images: int, count: int, width: int, height: int, tile: int
) -> None:
    *splats, radii, depths = _splats(channels, images, count, channels, width, height)
    lists = _lists(splats[0], radii, depths, tile, width, height)
    g = torch.Generator().manual_seed(9)
    splats.append(torch.rand(images, channels, generator=g))
    single = [t.clone().requires_grad_() for t in splats]
    double = [t.double().requires_grad_() for t in splats]
    found = _blend(*single[:4], width, height, tile, *lists, backgrounds=single[4])
    wanted = _twin(*double[:4], width, height, tile, *lists, backgrounds=double[4], exp=twins.series_exp)
    weights = [torch.randn(t.shape, generator=g) for t in found]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.shape == theirs.shape
        # A tile stops at a transmittance of 1e-4, which the twin does not.
        assert_pictures(ours, theirs, scale=20.0)
    torch.autograd.backward(found, weights)
    torch.autograd.backward(wanted, [w.double() for w in weights])
    for ours, theirs in zip(single, double, strict=True):
        assert_gradients(ours.grad, theirs.grad)


def test_twin_passes_finite_differences() -> None:
    """Well inside the cut-offs, where blending is smooth."""
    means2d = torch.tensor([[[3.1, 2.7], [2.2, 3.3]]], dtype=torch.float64, requires_grad=True)
    conics = torch.tensor(
        [[[0.05, 0.01, 0.04], [0.03, -0.02, 0.06]]], dtype=torch.float64, requires_grad=True
    )
    colors = torch.rand(1, 2, 2, dtype=torch.float64, requires_grad=True)
    opacities = torch.tensor([[0.7, 0.5]], dtype=torch.float64, requires_grad=True)
    backgrounds = torch.rand(1, 2, dtype=torch.float64, requires_grad=True)
    lists = (torch.zeros(1, 1, 1, dtype=torch.int32), torch.tensor([0, 1], dtype=torch.int32))

    def render(*inputs: Tensor) -> Any:
        *splats, background = inputs
        return _twin(*splats, 6, 5, 16, *lists, backgrounds=background)

    assert torch.autograd.gradcheck(render, (means2d, conics, colors, opacities, backgrounds))


@pytest.mark.parametrize("channels", [3, 4, 5, 8, 14])
def test_absolute_gradients_are_summed_pixel_by_pixel(channels: int) -> None:
    """Each pixel's is that of all channels together, however they are divided into passes."""
    width, height = 9, 6
    *splats, radii, depths = _splats(4, 1, 8, channels, width, height)
    lists = _lists(splats[0], radii, depths, 5, width, height)
    g = torch.Generator().manual_seed(0)
    background = torch.rand(1, channels, generator=g)
    weights = torch.randn(1, height, width, channels + 1, generator=g)
    leaves = [t.clone().requires_grad_() for t in splats]
    maps = _blend(*leaves, width, height, 5, *lists, backgrounds=background, absgrad=True)
    torch.autograd.backward((torch.cat(maps, -1) * weights).sum())
    plain = [t.clone().requires_grad_() for t in splats]
    maps = _blend(*plain, width, height, 5, *lists, backgrounds=background)
    torch.autograd.backward((torch.cat(maps, -1) * weights).sum())
    for ours, theirs in zip(leaves, plain, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    means2d: Any = leaves[0]
    wanted = torch.zeros(1, 8, 2, dtype=torch.float64)
    double = [t.detach().double() for t in splats]
    for y in range(height):
        for x in range(width):
            leaf = double[0].clone().requires_grad_()
            maps = _twin(
                leaf, *double[1:], width, height, 5, *lists, backgrounds=background.double(),
                exp=twins.series_exp,
            )  # fmt: skip
            torch.autograd.backward((torch.cat(maps, -1)[0, y, x] * weights[0, y, x]).sum())
            assert leaf.grad is not None
            wanted += leaf.grad.abs()
    assert_gradients(means2d.absgrad, wanted)
    assert (means2d.absgrad >= means2d.grad.abs() * 0.999).all()


def test_masked_tiles_show_the_background() -> None:
    *splats, radii, depths = _splats(5, 1, 30, 3, 32, 32)
    lists = _lists(splats[0], radii, depths, 16, 32, 32)
    masks = torch.tensor([[[True, False], [False, True]]])
    background = torch.tensor([[0.1, 0.2, 0.3]])
    leaves = [t.requires_grad_() for t in splats]
    masked, alphas = _blend(*leaves, 32, 32, 16, *lists, backgrounds=background, masks=masks)
    whole, _ = _blend(*leaves, 32, 32, 16, *lists, backgrounds=background)
    masked.sum().backward()
    assert torch.equal(masked[0, :16, :16], whole[0, :16, :16])
    assert torch.equal(masked[0, :16, 16:], background.expand(16, 16, 3))
    assert not alphas[0, 16:, :16].any()


def test_an_opaque_tile_stops_early_and_loses_nothing_visible() -> None:
    """Two hundred opaque sheets: what lies behind the first few must not be visited, nor missed."""
    count = 200
    means2d = torch.full((1, count, 2), 8.0)
    conics = torch.tensor([1e-4, 0.0, 1e-4]).repeat(1, count, 1)
    opacities = torch.full((1, count), 0.9)
    colors = torch.rand(1, count, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    lists = (torch.zeros(1, 1, 1, dtype=torch.int32), torch.arange(count, dtype=torch.int32))
    picture, alphas = _blend(means2d, conics, colors, opacities, 16, 16, 16, *lists)
    exact, _ = _twin(
        means2d.double(), conics.double(), colors.double(), opacities.double(), 16, 16, 16, *lists
    )
    assert (picture - exact).abs().max() < 1e-4
    assert (alphas > 0.9998).all()
    picture.sum().backward()
    assert colors.grad is not None
    assert not colors.grad[0, 50:].any()


def _one(conic: list[float], opacity: float = 0.5) -> Tensor:
    """Alpha [32, 32] of one splat in the middle of a picture of four tiles."""
    conics, place = torch.tensor([[conic]]), torch.full((1, 1, 2), 16.5)
    lists = (torch.arange(4, dtype=torch.int32).view(1, 2, 2), torch.zeros(4, dtype=torch.int32))
    _, alphas = _blend(place, conics, torch.ones(1, 1, 1), torch.tensor([[opacity]]), 32, 32, 16, *lists)
    alpha: Tensor = alphas[0, ..., 0]
    return alpha


def test_thin_lines_are_seen_upright_and_lying() -> None:
    """Whose inverse shape leaves no room in float32 for what tells their rows."""
    for thin, long in ((1e20, 1e-20), (1e6, 1e-6), (1e30, 1e-30)):
        upright, lying = _one([thin, 0.0, long]), _one([long, 0.0, thin])
        assert torch.equal(upright, lying.T)
        assert (lying[16] > 0.4).all() and lying[:16].max() == 0


def test_a_conic_that_is_no_ellipse_is_not_seen() -> None:
    assert _one([1.0, -3.0, 1.0]).max() == 0
    assert _one([1.0, 0.5, 1.0]).max() > 0.4


def test_more_splats_than_a_kernel_can_count_are_refused() -> None:
    with pytest.raises(ShapeError, match="splats times cameras"):
        records_of(2**27, 16)


def test_two_runs_are_equal_bit_for_bit() -> None:
    *splats, radii, depths = _splats(6, 1, 400, 3, 150, 130)
    lists = _lists(splats[0], radii, depths, 16, 150, 130)
    weights = torch.randn(1, 130, 150, 3, generator=torch.Generator().manual_seed(0))

    def run() -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in splats]
        picture, alphas = _blend(*leaves, 150, 130, 16, *lists)
        return [picture, alphas, *torch.autograd.grad(picture, leaves, weights)]

    first = run()
    for _ in range(4):
        assert all(torch.equal(a, b) for a, b in zip(first, run(), strict=True))


def test_tiles_beyond_the_picture_change_nothing() -> None:
    """A grid may be larger than the picture needs, as gsplat allows: also with masks."""
    width, height, tile = 40, 21, 8
    *splats, radii, depths = _splats(7, 2, 40, 3, width, height)
    needed = _lists(splats[0], radii, depths, tile, width, height)
    larger = _lists(splats[0], radii, depths, tile, width + 2 * tile, height + tile)
    assert len(larger[1]) > len(needed[1])
    masks = torch.rand(2, 4, 7, generator=torch.Generator().manual_seed(1)) > 0.3

    def run(lists: list[Tensor], masks: Tensor) -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in splats]
        picture, alphas = _blend(*leaves, width, height, tile, *lists, masks=masks)
        return [picture, alphas, *torch.autograd.grad(picture.square().sum(), leaves)]

    for found, wanted in zip(run(larger, masks), run(needed, masks[:, :3, :5]), strict=True):
        assert torch.equal(found, wanted)


def test_wrong_input_is_named() -> None:
    *splats, radii, depths = _splats(6, 1, 5, 3, 20, 20)
    lists = _lists(splats[0], radii, depths, 16, 20, 20)
    with pytest.raises(ValueError, match="do not cover a picture of 50 × 20"):
        _blend(*splats, 50, 20, 16, *lists)
    for packed in (False, True):
        rows = [t[0] if packed else t for t in (splats[0], splats[1], splats[2][..., :0], splats[3])]
        with pytest.raises(ShapeError, match="colors: expected one channel or more"):
            _blend(*rows, 20, 20, 16, *lists, packed=packed)
    with pytest.raises(ValueError, match="backgrounds: expected shape"):
        _blend(*splats, 20, 20, 16, *lists, backgrounds=torch.zeros(1, 2))
    with pytest.raises(ValueError, match="masks"):
        _blend(*splats, 20, 20, 16, *lists, masks=torch.ones(1, 1, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="tile_size of at least 1"):
        _blend(*splats, 20, 20, 0, *lists)
