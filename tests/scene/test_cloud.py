"""Dense points: which are kept, and how they move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from firstlight.scene import Capture, Cloud
from tests.scene.test_capture import capture
from tests.scene.test_similarity import similarity


def cloud(points: int = 12, photos: int = 4) -> Cloud:
    generator = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(points, 3, generator=generator), dim=-1)
    xyz, sizes = torch.randn(points, 3, generator=generator), torch.rand(3, points, generator=generator)
    rgb = torch.arange(3 * points, dtype=torch.uint8).reshape(points, 3)
    return Cloud(xyz, rgb, normals, sizes[0], sizes[1], sizes[2], torch.arange(points) % photos)


def dense(photos: int = 4) -> Capture:
    return replace(capture(photos), cloud=cloud(photos=photos))


def test_a_selection_keeps_the_points_of_its_photos_and_counts_anew() -> None:
    whole = cloud()
    few = dense().select([3, 1]).cloud
    assert few is not None
    kept = (whole.photos == 3) | (whole.photos == 1)
    assert torch.equal(few.xyz, whole.xyz[kept])
    assert torch.equal(few.photos, (whole.photos[kept] == 1).long())


def test_points_move_with_cameras() -> None:
    move = similarity(5)
    moved = dense().transform(move)
    assert moved.cloud is not None and moved.cameras is not None
    before, cameras = cloud(), capture(4).cameras
    assert cameras is not None
    # Direction of the normal against the ray, and pixels of uncertainty, are the same in the moved world.
    ray = before.xyz - cameras.centers[before.photos]
    ray_moved = moved.cloud.xyz - moved.cameras.centers[before.photos]
    cosine = (ray * before.normals).sum(-1) / ray.norm(dim=-1)
    cosine_moved = (ray_moved * moved.cloud.normals).sum(-1) / ray_moved.norm(dim=-1)
    assert torch.allclose(cosine, cosine_moved, atol=1e-4)
    for name in ("widths", "sigmas"):
        a, b = getattr(before, name) / ray.norm(dim=-1), getattr(moved.cloud, name) / ray_moved.norm(dim=-1)
        assert torch.allclose(a, b, rtol=1e-4)


def test_joined_clouds_are_one_behind_the_other() -> None:
    whole = cloud()
    parts = [whole.select(whole.photos == i) for i in range(4)]
    order = torch.argsort(whole.photos, stable=True)
    assert torch.equal(Cloud.joined(parts).rgb, whole.rgb[order])


@pytest.mark.parametrize("size", [32, 64])
def test_confidence_is_resized_with_depth(size: int) -> None:
    photo = capture(1).photos[0]
    levels = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    small = replace(photo, depth=lambda: levels + 1, confidence=lambda: levels).resized(size)
    assert small.depth is not None and small.confidence is not None
    assert small.confidence().shape == (size * 3 // 4, size)
    assert np.array_equal(small.depth(), small.confidence() + 1)
