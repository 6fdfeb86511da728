"""Tile lists against the twin and against every pixel."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from firstlight.render import ShapeError, fully_fused_projection, isect_offset_encode, isect_tiles, twins
from tests.render.scenes import intrinsics, random_scene

# Without types: mypy cannot count tensors that are unpacked from a list.
_isect: Any = isect_tiles


def _projected(
    seed: int, count: int, cameras: int, width: int, height: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    scene = random_scene(seed, count, cameras)
    K = intrinsics(cameras, width, height)
    radii, means2d, depths, conics, _ = fully_fused_projection(
        scene.means,
        None,
        scene.quats,
        scene.scales,
        scene.viewmats,
        K,
        width,
        height,
        opacities=scene.opacities,
    )
    return means2d, radii, depths, conics, scene.opacities.expand(cameras, -1)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (17, 33), (100, 61)])
@pytest.mark.parametrize(("cameras", "count"), [(1, 300), (3, 50)])
@pytest.mark.parametrize("tile_size", [4, 16, 40])
def test_rectangles_are_the_twin(width: int, height: int, cameras: int, count: int, tile_size: int) -> None:
    means2d, radii, depths, _, _ = _projected(1, count, cameras, width, height)
    tw, th = -(-width // tile_size), -(-height // tile_size)
    tiles_per_gauss, isect_ids, flatten_ids = isect_tiles(means2d, radii, depths, tile_size, tw, th)
    offsets = isect_offset_encode(isect_ids, cameras, tw, th)
    wanted_ids, wanted_offsets = twins.isect_tiles(means2d, radii, depths, tile_size, tw, th)
    assert torch.equal(flatten_ids, wanted_ids)
    assert torch.equal(offsets, wanted_offsets)
    assert int(tiles_per_gauss.sum()) == len(flatten_ids)
    assert torch.equal(isect_ids, isect_ids.sort().values)
    bits = depths.flatten()[flatten_ids.long()].view(torch.int32)
    assert torch.equal(isect_ids & 0xFFFFFFFF, bits.long())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tile_size", [5, 16, 24])
def test_exact_lists_hold_every_tile_with_a_visible_pixel_and_few_others(seed: int, tile_size: int) -> None:
    width, height = 90, 70
    means2d, radii, depths, conics, opacities = _projected(seed, 150, 1, width, height)
    tw, th = -(-width // tile_size), -(-height // tile_size)
    _, isect_ids, flatten_ids = isect_tiles(
        means2d, radii, depths, tile_size, tw, th, conics=conics, opacities=opacities
    )
    listed = torch.zeros(150, th, tw, dtype=torch.bool)
    tile = isect_ids >> 32
    listed[flatten_ids.long(), tile // tw, tile % tw] = True
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    d = torch.stack([x, y], -1).double() - means2d[0, :, None, None].double()
    a, b, c = conics[0].double()[:, None, None].unbind(-1)
    power = 0.5 * (a * d[..., 0] ** 2 + c * d[..., 1] ** 2) + b * d[..., 0] * d[..., 1]
    seen = (opacities[0, :, None, None] * torch.exp(-power) >= 1 / 255) & (radii[0, :, None, None, 0] > 0)
    padded = torch.nn.functional.pad(seen, (0, tw * tile_size - width, 0, th * tile_size - height))
    needed = padded.view(150, th, tile_size, tw, tile_size).any(4).any(2)
    assert not (needed & ~listed).any()
    assert listed.sum() < 1.25 * needed.sum() + 20
    rectangles = isect_tiles(means2d, radii, depths, tile_size, tw, th)[0]
    assert listed.sum() < rectangles.sum()


def test_equal_depths_stay_in_order_of_their_index() -> None:
    means2d = torch.full((1, 40, 2), 8.0)
    radii = torch.full((1, 40, 2), 3, dtype=torch.int32)
    depths = torch.tensor([[2.0, 1.0] * 20])
    flatten_ids = isect_tiles(means2d, radii, depths, 16, 1, 1)[2]
    assert flatten_ids.tolist() == [*range(1, 40, 2), *range(0, 40, 2)]


def test_unsorted_lists_go_splat_by_splat() -> None:
    means2d, radii, depths, _, _ = _projected(2, 60, 2, 64, 64)
    ids, flat = isect_tiles(means2d, radii, depths, 16, 4, 4)[1:]
    loose_ids, loose = isect_tiles(means2d, radii, depths, 16, 4, 4, sort=False)[1:]
    assert torch.equal(loose, loose.sort().values)
    assert torch.equal(loose_ids.sort().values, ids)
    assert torch.equal(loose.sort().values, flat.sort().values)


def test_packed_lists_are_the_dense_ones() -> None:
    means2d, radii, depths, _, _ = _projected(3, 80, 3, 48, 48)
    dense = isect_tiles(means2d, radii, depths, 16, 3, 3)
    cameras, splats = torch.nonzero(radii[..., 0] > 0, as_tuple=True)
    packed = isect_tiles(
        means2d[cameras, splats],
        radii[cameras, splats],
        depths[cameras, splats],
        16,
        3,
        3,
        packed=True,
        n_images=3,
        image_ids=cameras,
        gaussian_ids=splats,
    )
    assert torch.equal(packed[1], dense[1])
    assert torch.equal((cameras * 80 + splats)[packed[2].long()].int(), dense[2])
    rows = (means2d[0], radii[0], depths[0], 16, 3, 3, True, False, True)
    with pytest.raises(ShapeError, match="image_ids"):
        _isect(*rows)
    with pytest.raises(ShapeError, match="gaussian_ids"):
        _isect(*rows, n_images=1, image_ids=torch.zeros(80, dtype=torch.long))
    for ids, words in ((torch.ones(80), "from 0 to 0"), (torch.zeros(79), r"expected shape \[80\]")):
        with pytest.raises(ShapeError, match=words):
            _isect(*rows, n_images=1, image_ids=ids.long(), gaussian_ids=splats)


@pytest.mark.parametrize("sort", [True, False])
def test_packed_rows_may_come_in_any_order(sort: bool) -> None:
    means2d, radii, depths, conics, opacities = _projected(3, 80, 3, 48, 48)
    cameras, splats = torch.nonzero(radii[..., 0] > 0, as_tuple=True)
    order = torch.randperm(len(cameras), generator=torch.Generator().manual_seed(0))

    def deal(cameras: Tensor, splats: Tensor) -> Any:
        rows = [t[cameras, splats] for t in (means2d, radii, depths, conics, opacities)]
        return _isect(
            *rows[:3], 16, 3, 3, sort, packed=True, n_images=3, image_ids=cameras, gaussian_ids=splats,
            conics=rows[3], opacities=rows[4],
        )  # fmt: skip

    wanted, found = deal(cameras, splats), deal(cameras[order], splats[order])
    assert torch.equal(found[0], wanted[0][order])
    if sort:
        assert torch.equal(found[1], wanted[1])
        assert torch.equal(order[found[2].long()].int(), wanted[2])
    else:
        assert torch.equal(found[2], found[2].sort().values)
        assert torch.equal(found[1].sort().values, wanted[1].sort().values)


def test_leading_dimensions_are_images_one_after_the_other() -> None:
    means2d, radii, depths, conics, opacities = _projected(4, 40, 6, 50, 40)
    flat = isect_tiles(means2d, radii, depths, 16, 4, 3, conics=conics, opacities=opacities)
    dims = (3, 2, 40)
    counts, ids, order = isect_tiles(
        means2d.view(*dims, 2),
        radii.view(*dims, 2),
        depths.view(dims),
        16,
        4,
        3,
        conics=conics.view(*dims, 3),
        opacities=opacities.reshape(dims),
    )
    assert counts.shape == dims
    assert torch.equal(counts.view(6, 40), flat[0])
    assert torch.equal(ids, flat[1])
    assert torch.equal(order, flat[2])
    assert isect_offset_encode(ids, 6, 4, 3).shape == (6, 3, 4)


def test_wrong_shapes_are_named() -> None:
    means2d, radii, depths, conics, _ = _projected(4, 40, 2, 50, 40)
    with pytest.raises(AssertionError, match="radii: expected shape"):
        isect_tiles(means2d, radii[:1], depths, 16, 4, 3)
    with pytest.raises(AssertionError, match="means2d: expected shape"):
        isect_tiles(means2d[:, :3], radii, depths, 16, 4, 3)
    with pytest.raises(AssertionError, match="opacities: expected shape"):
        isect_tiles(means2d, radii, depths, 16, 4, 3, conics=conics, opacities=depths[:1])


def test_nothing_in_nothing_out() -> None:
    empty = torch.zeros(1, 0, 2)
    counts, ids, flat = isect_tiles(empty, empty.int(), torch.zeros(1, 0), 16, 2, 2)
    assert counts.shape == (1, 0)
    assert len(ids) == len(flat) == 0
    assert isect_offset_encode(ids, 1, 2, 2).tolist() == [[[0, 0], [0, 0]]]
