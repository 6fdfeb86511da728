"""Surfels (2D Gaussians): projection and blending against their twins, twins against finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from firstlight.render import (
    accumulate_2dgs,
    fully_fused_projection_2dgs,
    isect_offset_encode,
    isect_tiles,
    rasterize_to_indices_in_range_2dgs,
    rasterize_to_pixels_2dgs,
    twins,
)
from tests.render.scenes import Scene, assert_gradients, assert_pictures, intrinsics, random_scene

NAMES = ("means", "quats", "scales", "viewmats")
WIDTH, HEIGHT = 61, 43

# Without types: mypy cannot count tensors that are unpacked from a list.
_op: Any = fully_fused_projection_2dgs
_blend: Any = rasterize_to_pixels_2dgs
_twin: Any = twins.rasterize_to_pixels_2dgs
_pairs: Any = rasterize_to_indices_in_range_2dgs
_accumulate: Any = accumulate_2dgs
_twin_projection: Any = twins.fully_fused_projection_2dgs


def _project(scene: Any, K: Tensor, **options: Any) -> Any:
    return _op(scene.means, scene.quats, scene.scales, scene.viewmats, K, WIDTH, HEIGHT, **options)


@pytest.mark.parametrize(("count", "cameras"), [(1, 3), (7, 1), (200, 3)])
def test_projection_is_the_twin(count: int, cameras: int) -> None:
    scene = random_scene(count, count, cameras)
    single, double = scene.leaves(torch.float32), scene.leaves(torch.float64)
    K = intrinsics(cameras, WIDTH, HEIGHT)
    radii, *found = _project(single, K, radius_clip=1.0)
    shapes = (double.means, double.quats, double.scales, double.viewmats)
    wanted_radii, *wanted = _twin_projection(*shapes, K.double(), WIDTH, HEIGHT, radius_clip=1.0)
    assert torch.equal(radii, wanted_radii)
    if count > 100:
        assert (radii[..., 0] > 0).double().mean() > 0.2
    losses = [torch.zeros(()), torch.zeros((), dtype=torch.float64)]
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)
        weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
        losses[0] = losses[0] + (ours * weights).sum()
        losses[1] = losses[1] + (theirs * weights).sum()
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    for name in NAMES:
        assert_gradients(getattr(single, name).grad, getattr(double, name).grad, 1e-4)
    assert not single.scales.grad[:, 2].any()  # type: ignore[index]  # a surfel is flat


def test_projection_twin_passes_finite_differences() -> None:
    scene = random_scene(3, 2).leaves(torch.float64)
    K = intrinsics(1, 40, 30).double()

    def project(*inputs: Tensor) -> Any:
        return _twin_projection(*inputs, K, 40, 30)[1:]

    assert torch.autograd.gradcheck(project, (scene.means, scene.quats, scene.scales, scene.viewmats))


@pytest.mark.parametrize("sparse_grad", [False, True])
def test_packed_rows_are_the_dense_ones(sparse_grad: bool) -> None:
    scene, K = random_scene(5, 150, 3), intrinsics(3, WIDTH, HEIGHT)
    one, two = scene.leaves(torch.float32), scene.leaves(torch.float32)
    radii, *dense = _project(one, K)
    batches, cameras, surfels, packed_radii, *packed = _project(two, K, packed=True, sparse_grad=sparse_grad)
    seen = torch.nonzero(radii[..., 0] > 0)
    assert 0 < len(seen) < radii[..., 0].numel()
    assert torch.equal(torch.stack([cameras, surfels], 1), seen)
    assert batches.dtype == cameras.dtype == surfels.dtype == torch.int64
    assert torch.equal(packed_radii, radii[cameras, surfels])
    losses = [torch.zeros(()), torch.zeros(())]
    for ours, theirs in zip(packed, dense, strict=True):
        assert torch.equal(ours, theirs[cameras, surfels])
        weights = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1))
        losses[0] = losses[0] + (theirs * weights).sum()
        losses[1] = losses[1] + (ours * weights[cameras, surfels]).sum()
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    for name in NAMES:
        ours, theirs = getattr(two, name).grad, getattr(one, name).grad
        assert ours.is_sparse == (sparse_grad and name != "viewmats")
        torch.testing.assert_close(ours.to_dense(), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("batch", [(2, 3), (0,)])
def test_batches_are_scenes_of_their_own(batch: tuple[int, ...], packed: bool) -> None:
    size = torch.Size(batch).numel()
    scenes, K = [random_scene(seed, 60, 2) for seed in range(size)], intrinsics(2, WIDTH, HEIGHT)
    one = random_scene(0, 60, 2)
    parts = [torch.stack(t) for t in zip(*scenes, strict=True)] or [torch.zeros(0, *t.shape) for t in one]
    whole = Scene(*(part.view(*batch, *part.shape[1:]) for part in parts)).leaves(torch.float32)
    out = _project(whole, K.expand(*batch, 2, 3, 3), packed=packed)
    sum(t.square().sum() for t in out[-4:]).backward()
    alone = [scene.leaves(torch.float32) for scene in scenes]
    results = [_project(scene, K, packed=packed) for scene in alone]
    for result in results:
        sum(t.square().sum() for t in result[-4:]).backward()
    for k in range(1 if packed else 0, len(out)):
        found = [result[k] for result in results]
        if not found:
            assert out[k].numel() == 0
        else:
            assert torch.equal(out[k], torch.cat(found) if packed else torch.stack(found).view(out[k].shape))
    for name in NAMES:
        gradient = getattr(whole, name).grad.view(-1, *getattr(one, name).shape)
        for n, scene in enumerate(alone):
            assert torch.equal(gradient[n], getattr(scene, name).grad)


@pytest.mark.parametrize(
    "mean", [(0, 0, -1), (0, 0, 0), (0, 0, 0.01), (0, 0, 2e10), (1e6, 0, 1), (float("nan"), 0, 1)]
)
def test_what_cannot_be_seen_is_culled(mean: tuple[float, float, float]) -> None:
    means, quats = torch.tensor([mean], dtype=torch.float32), torch.tensor([[1.0, 0, 0, 0]])
    scene = random_scene(0, 1)._replace(means=means, quats=quats, viewmats=torch.eye(4)[None])
    scene = scene._replace(scales=torch.full((1, 3), 1e-3))
    for output in _project(scene, intrinsics(1, WIDTH, HEIGHT)):
        assert not output.any()


def _surfels(seed: int, images: int, count: int, channels: int, width: int, height: int) -> list[Tensor]:
    """Seen from four units away: means2d, ray transforms, colours, opacities, normals, radii, depths."""
    scene = random_scene(seed, count, images)
    scales = scene.scales * 1.5
    radii, means2d, depths, transforms, normals = _op(
        scene.means, scene.quats, scales, scene.viewmats, intrinsics(images, width, height), width, height
    )
    g = torch.Generator().manual_seed(seed)
    colors = torch.randn(images, count, channels, generator=g)
    opacities = torch.rand(images, count, generator=g)
    return [means2d, transforms, colors, opacities, normals, radii, depths]


def _lists(
    means2d: Tensor, radii: Tensor, depths: Tensor, tile: int, width: int, height: int
) -> list[Tensor]:
    tw, th = -(-width // tile), -(-height // tile)
    _, isect_ids, flatten_ids = isect_tiles(means2d, radii, depths, tile, tw, th)
    return [isect_offset_encode(isect_ids, len(means2d), tw, th), flatten_ids]


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
@pytest.mark.parametrize(
    ("images", "count", "width", "height", "tile"),
    [(1, 60, 37, 29, 16), (2, 40, 16, 16, 16), (1, 8, 1, 1, 16), (1, 40, 23, 31, 5), (2, 60, 45, 37, 40)],
)
def test_blending_is_the_twin(
    channels: int, images: int, count: int, width: int, height: int, tile: int
) -> None:
    *surfels, radii, depths = _surfels(channels, images, count, channels, width, height)
    lists = _lists(surfels[0], radii, depths, tile, width, height)
    g = torch.Generator().manual_seed(9)
    surfels.append(torch.rand(images, channels, generator=g))
    single = [t.clone().requires_grad_() for t in surfels]
    double = [t.double().requires_grad_() for t in surfels]
    densify = torch.zeros(images, count, 2, requires_grad=True)
    found = _blend(*single[:5], densify, width, height, tile, *lists, backgrounds=single[5])
    wanted = _twin(*double[:5], width, height, tile, *lists, backgrounds=double[5], exp=twins.series_exp)
    weights = [torch.randn(t.shape, generator=g) for t in found]
    for ours, theirs in zip(found[:4], wanted[:4], strict=True):
        assert ours.shape == theirs.shape
        assert_pictures(ours, theirs, scale=20.0)  # a tile stops at a transmittance of 1e-4
    assert (found[4] - wanted[4]).abs().gt(1e-5).double().mean() < 2e-3
    torch.autograd.backward(found, weights)
    torch.autograd.backward(wanted, [w.double() for w in weights])
    for ours, theirs in zip(single, double, strict=True):
        assert_gradients(ours.grad, theirs.grad)
    assert double[1].grad is not None
    assert_gradients(densify.grad, double[1].grad[..., :2, 2] * double[1].detach()[..., 2:, 2])


def test_blending_twin_passes_finite_differences() -> None:
    """Well inside the cut-offs; the third is small, so that its filter counts."""
    scene = random_scene(0, 3)._replace(
        means=torch.tensor([[0.1, 0.0, 0.0], [-0.2, 0.1, 0.4], [0.1, -0.1, 0.2]]),
        scales=torch.tensor([0.8, 0.7, 1e-3])[:, None].repeat(1, 3),
    )
    K = intrinsics(1, 6, 5)
    _, means2d, depths, transforms, normals = _op(*scene[:3], scene.viewmats, K, 6, 5)
    g = torch.Generator().manual_seed(2)
    colors = torch.cat([torch.rand(1, 3, 2, generator=g), depths[..., None]], -1)
    leaves = [means2d, transforms, colors, torch.tensor([[0.5, 0.6, 0.9]]), normals, torch.rand(1, 3)]
    leaves = [t.double().requires_grad_() for t in leaves]
    lists = (torch.zeros(1, 1, 1, dtype=torch.int32), torch.tensor([0, 2, 1], dtype=torch.int32))

    def render(*inputs: Tensor) -> Any:
        return _twin(*inputs[:5], 6, 5, 16, *lists, backgrounds=inputs[5])

    assert torch.autograd.gradcheck(render, tuple(leaves))
    gradient = torch.autograd.grad(render(*leaves)[0].sum(), leaves[0])[0]
    assert gradient[0, 2].any()


def test_distortion_and_median_are_what_the_paper_says() -> None:
    """Three sheets before one pixel: 0.4, then 0.5 of what is left, then 0.6 of that."""
    means = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0], [0.0, 0.0, 4.0]])
    scene = random_scene(0, 3)._replace(
        means=means, quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(3, 1), viewmats=torch.eye(4)[None]
    )
    scene = scene._replace(scales=torch.full((3, 3), 100.0))
    K = torch.tensor([[[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1]]])
    _, means2d, depths, transforms, normals = _op(*scene[:3], scene.viewmats, K, 1, 1)
    lists = (torch.zeros(1, 1, 1, dtype=torch.int32), torch.arange(3, dtype=torch.int32))
    opacities, densify = torch.tensor([[0.4, 0.5, 0.6]]), torch.zeros(1, 3, 2)
    colors = depths[..., None].requires_grad_()
    picture, _, facing, distortion, median = _blend(
        means2d, transforms, colors, opacities, normals, densify, 1, 1, 16, *lists
    )
    w, d = torch.tensor([0.4, 0.3, 0.18]), torch.tensor([1.0, 2.0, 4.0])
    pairs = (w[:, None] * w * (d[:, None] - d).abs()).sum()
    torch.testing.assert_close(distortion.flatten(), pairs[None])
    torch.testing.assert_close(picture.flatten(), (w * d).sum()[None])
    torch.testing.assert_close(facing.flatten(), torch.tensor([0.0, 0.0, -0.88]))
    assert median.item() == 2.0  # the second meets 0.6 of the light, the third 0.3
    assert torch.autograd.grad(median.sum(), colors)[0].flatten().tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("channels", [3, 5, 8, 13])
def test_absolute_gradients_are_summed_pixel_by_pixel(channels: int) -> None:
    """Each pixel's is that of all channels and maps together, however they are divided into passes."""
    width, height = 9, 6
    *surfels, radii, depths = _surfels(4, 1, 8, channels, width, height)
    surfels = [t.detach() for t in surfels]
    lists, densify = _lists(surfels[0], radii, depths, 5, width, height), torch.zeros(1, 8, 2)
    g = torch.Generator().manual_seed(0)
    background = torch.rand(1, channels, generator=g)
    weights = torch.randn(1, height, width, channels + 6, generator=g)
    leaves = [t.clone().requires_grad_() for t in surfels]
    maps = _blend(*leaves, densify, width, height, 5, *lists, backgrounds=background, absgrad=True)
    torch.autograd.backward((torch.cat(maps, -1) * weights).sum())
    plain = [t.clone().requires_grad_() for t in surfels]
    maps = _blend(*plain, densify, width, height, 5, *lists, backgrounds=background)
    torch.autograd.backward((torch.cat(maps, -1) * weights).sum())
    for ours, theirs in zip(leaves, plain, strict=True):
        assert_gradients(ours.grad, theirs.grad, 1e-5)
    means2d: Any = leaves[0]
    wanted = torch.zeros(1, 8, 2, dtype=torch.float64)
    double = [t.detach().double() for t in surfels]
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
    assert wanted.any()
    assert_gradients(means2d.absgrad, wanted)


def test_masked_tiles_show_the_background() -> None:
    *surfels, radii, depths = _surfels(5, 1, 30, 3, 32, 32)
    lists = _lists(surfels[0], radii, depths, 16, 32, 32)
    masks = torch.tensor([[[True, False], [False, True]]])
    background, densify = torch.tensor([[0.1, 0.2, 0.3]]), torch.zeros(1, 30, 2)
    leaves = [t.requires_grad_() for t in surfels]
    masked, *maps = _blend(*leaves, densify, 32, 32, 16, *lists, backgrounds=background, masks=masks)
    whole, *_ = _blend(*leaves, densify, 32, 32, 16, *lists, backgrounds=background)
    (masked.sum() + sum(t.sum() for t in maps)).backward()
    assert torch.equal(masked[0, :16, :16], whole[0, :16, :16])
    assert torch.equal(masked[0, :16, 16:], background.expand(16, 16, 3))
    for t in maps:
        assert not t[0, 16:, :16].any()


def test_an_opaque_tile_stops_early_and_loses_nothing_visible() -> None:
    *surfels, _, _ = _surfels(0, 1, 200, 3, 16, 16)
    surfels[1] = torch.diag(torch.tensor([900.0, 900.0, 1.0])).repeat(1, 200, 1, 1)
    surfels[3] = torch.full((1, 200), 0.9)
    colors = surfels[2].requires_grad_()
    lists = (torch.zeros(1, 1, 1, dtype=torch.int32), torch.arange(200, dtype=torch.int32))
    picture, alphas, *_ = _blend(*surfels, torch.zeros(1, 200, 2), 16, 16, 16, *lists)
    exact, *_ = _twin(*[t.double() for t in surfels], 16, 16, 16, *lists)
    assert (picture - exact).abs().max() < 1e-3
    assert (alphas > 0.9998).all()
    picture.sum().backward()
    assert colors.grad is not None
    assert not colors.grad[0, 50:].any()


def test_tiles_beyond_the_picture_change_nothing() -> None:
    width, height, tile = 40, 21, 8
    *surfels, radii, depths = _surfels(7, 2, 40, 3, width, height)
    surfels = [t.detach() for t in surfels]
    needed = _lists(surfels[0], radii, depths, tile, width, height)
    larger = _lists(surfels[0], radii, depths, tile, width + 2 * tile, height + tile)
    assert len(larger[1]) > len(needed[1])
    maps = [_blend(*surfels, torch.zeros(2, 40, 2), width, height, tile, *ls) for ls in (larger, needed)]
    means2d, transforms, _, opacities, _ = surfels
    light = torch.ones(2, height, width)
    maps += [
        _pairs(0, int(1e10), light, means2d, transforms, opacities, width, height, tile, *lists)
        for lists in (larger, needed)
    ]
    for found, wanted in (maps[:2], maps[2:]):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, wanted, strict=True))


def test_wrong_input_is_named() -> None:
    scene, K = random_scene(0, 4), intrinsics(1, WIDTH, HEIGHT)
    with pytest.raises(ValueError, match=r"quats: expected shape \[4, 4\], got \[4, 3\]"):
        _project(scene._replace(quats=scene.scales), K)
    with pytest.raises(TypeError, match="means: expected float32 on the CPU"):
        _project(scene._replace(means=scene.means.double()), K)
    with pytest.raises(AssertionError, match="sparse_grad needs packed"):
        _project(scene, K, sparse_grad=True)
    *surfels, radii, depths = _surfels(6, 1, 5, 3, 20, 20)
    lists, densify = _lists(surfels[0], radii, depths, 16, 20, 20), torch.zeros(1, 5, 2)
    with pytest.raises(ValueError, match="do not cover a picture of 50 × 20"):
        _blend(*surfels, densify, 50, 20, 16, *lists)
    with pytest.raises(ValueError, match="backgrounds: expected shape"):
        _blend(*surfels, densify, 20, 20, 16, *lists, backgrounds=torch.zeros(1, 2))
    with pytest.raises(ValueError, match="masks"):
        _blend(*surfels, densify, 20, 20, 16, *lists, masks=torch.ones(1, 1, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="one channel or more"):
        _blend(surfels[0], surfels[1], torch.zeros(1, 5, 0), *surfels[3:], densify, 20, 20, 16, *lists)
    with pytest.raises(ValueError, match="tiles of 8 px do not cover"):
        _blend(*surfels, densify, 20, 20, 8, *lists)


def test_pairs_are_what_blending_adds_up() -> None:
    """In one go, and batch by batch with the light that earlier ones left; composed, they are the picture."""
    width, height, tile, count = 22, 13, 4, 60
    *surfels, radii, depths = _surfels(7, 2, count, 3, width, height)
    means2d, transforms, colors, opacities, normals = (t.detach() for t in surfels)
    offsets, flatten_ids = _lists(means2d, radii, depths, tile, width, height)
    lists = (width, height, tile, offsets, flatten_ids)
    picture, alphas, facing, *_ = _blend(
        means2d, transforms, colors, opacities, normals, torch.zeros(2, count, 2), *lists
    )
    splats = (means2d, transforms, opacities, colors, normals)
    light = torch.ones(2, height, width)
    ids = _pairs(0, int(1e10), light, means2d, transforms, opacities, *lists)
    assert all(t.dtype == torch.int64 for t in ids)
    keys = ids[2] * width * height + ids[1]
    assert (keys[1:] >= keys[:-1]).all()
    found = _accumulate(*splats, *ids, width, height)
    for ours, theirs in zip(found, (picture, alphas, facing), strict=True):
        difference = (ours - theirs).abs()  # the kernels' exp is a series
        assert difference.max() < 0.02
        assert difference.mean() < 2e-4
    shuffled = torch.randperm(len(keys), generator=torch.Generator().manual_seed(0))
    shuffled = shuffled[torch.argsort(depths[ids[2], ids[0]][shuffled], stable=True)]
    again = _accumulate(*splats, *(t[shuffled] for t in ids), width, height)
    for ours, theirs in zip(again, found, strict=True):
        torch.testing.assert_close(ours, theirs)
    parts, start, summed = [], 0, torch.zeros_like(alphas)
    while start < 100:
        step = _pairs(start, start + 1, light, means2d, transforms, opacities, *lists)
        parts.append(torch.stack(step, 1))
        alpha = _accumulate(*splats, *step, width, height)[1]
        summed = summed + light[..., None] * alpha
        light, start = 1 - summed[..., 0], start + 1
    together = torch.cat(parts)
    order = torch.argsort(together[:, 2] * width * height + together[:, 1], stable=True)
    assert len(parts[1]) > 0
    assert torch.equal(together[order], torch.stack(ids, 1))
    none = [t[:, :0] for t in splats]
    nobody = torch.zeros(0, dtype=torch.int64)
    empty = _accumulate(*none, nobody, nobody, nobody, width, height)
    assert [t.shape for t in empty] == [(2, height, width, wide) for wide in (3, 1, 3)]
    assert not any(t.any() for t in empty)
    with pytest.raises(ValueError, match="transmittances: expected shape"):
        _pairs(0, 1, light[0], means2d, transforms, opacities, *lists)
    with pytest.raises(ValueError, match="normals: expected shape"):
        _accumulate(*splats[:4], normals[:1], *ids, width, height)
    with pytest.raises(ValueError, match="as many gaussian_ids"):
        _accumulate(*splats, ids[0][:2], *ids[1:], width, height)
