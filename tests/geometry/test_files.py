"""Geometry comes back from disk bit for bit, or says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from firstlight.errors import InputError
from firstlight.files.tensors import load_tensors, save_tensors
from firstlight.geometry import GEOMETRY_FILE, DepthMap, Geometry, load_geometry, save_geometry
from firstlight.scene import Cloud


def made(photos: int = 2, points: int = 5) -> Geometry:
    generator = np.random.default_rng(0)
    maps = []
    for _ in range(photos):
        depth = generator.uniform(0.5, 9, (6, 8)).astype(np.float32)
        depth[0] = 0
        normals = generator.normal(size=(6, 8, 3)).astype(np.float32)
        maps.append(DepthMap.pack(depth, normals * np.float32(0.25), (depth > 0).astype(np.float32)))
    cloud = Cloud(
        torch.rand(points, 3), torch.zeros(points, 3, dtype=torch.uint8), torch.rand(points, 3),
        torch.rand(points), torch.rand(points), torch.rand(points), torch.arange(points) % photos,
    )  # fmt: skip
    return Geometry([f"{i}.jpg" for i in range(photos)], maps, cloud)


def test_round_trip(tmp_path: Path) -> None:
    geometry = made()
    save_geometry(tmp_path, geometry)
    back = load_geometry(tmp_path, geometry.names)
    assert back.names == geometry.names
    for one, other in zip(back.maps, geometry.maps, strict=True):
        assert np.array_equal(one.depth, other.depth) and np.array_equal(one.normals, other.normals)
    for name in vars(geometry.cloud):
        assert torch.equal(getattr(back.cloud, name), getattr(geometry.cloud, name))


def test_packing_keeps_a_depth_to_a_ten_thousandth() -> None:
    depth = np.exp(np.linspace(-1, 5.5, 600)).astype(np.float32).reshape(20, 30)
    back = DepthMap.pack(depth, np.zeros((20, 30, 3), np.float32), np.ones((20, 30), np.float32))
    assert np.abs(back.depth / depth - 1).max() < 1e-4
    assert np.abs(back.inverse_depth * back.depth - 1).max() < 1e-4


def test_other_photos_and_broken_files_are_refused(tmp_path: Path) -> None:
    save_geometry(tmp_path, made())
    with pytest.raises(InputError, match="other photos"):
        load_geometry(tmp_path, ["0.jpg"])
    path = tmp_path / GEOMETRY_FILE
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read"):
        load_geometry(tmp_path, ["0.jpg", "1.jpg"])
    with pytest.raises(InputError, match="cannot be read"):
        load_geometry(tmp_path / "nowhere", ["0.jpg"])


@pytest.mark.parametrize("lost", ["names", "ranges", "cloud.xyz"])
def test_files_that_lack_something_are_refused(tmp_path: Path, lost: str) -> None:
    geometry, path = made(), tmp_path / GEOMETRY_FILE
    save_geometry(tmp_path, geometry)
    about, tensors = load_tensors(path, "firstlight geometry 1")
    about.pop(lost, None)
    tensors.pop(lost, None)
    save_tensors(path, tensors, about)
    with pytest.raises(InputError, match=f"damaged.*{lost}.*Delete it"):
        load_geometry(tmp_path, geometry.names)
