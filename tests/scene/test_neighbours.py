"""Neighbours and planes against brute force."""

from __future__ import annotations

import torch

from firstlight.scene.neighbours import local_planes, nearest
from firstlight.scene.rotation import proper
from tests.scenes import random_rotation


def test_nearest_are_those_of_brute_force() -> None:
    points = torch.randn(60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    distances = torch.cdist(points, points) + 1e9 * torch.eye(60)
    assert torch.equal(nearest(points, 5), distances.argsort(1)[:, :5])


def test_a_point_is_never_its_own_neighbour_though_others_share_its_place() -> None:
    single = torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    points = torch.cat([single, single[:20], single[:10], single[:1].expand(12, 3)])
    found = nearest(points, 5)
    assert not (found == torch.arange(len(points))[:, None]).any()
    assert all(len(set(row)) == 5 for row in found.tolist())
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    expected = (distances + 1e9 * torch.eye(len(points))).sort(1).values[:, :5]
    torch.testing.assert_close(distances.gather(1, found), expected)


def test_planes_are_found_whatever_their_direction() -> None:
    generator = torch.Generator().manual_seed(1)
    flat = torch.randn(80, 3, dtype=torch.float64, generator=generator) * torch.tensor([2.0, 1.0, 1e-3])
    rotation = random_rotation(3)
    planes = local_planes(flat @ rotation.T, nearest(flat @ rotation.T, 12))
    cosines = (planes.normals @ rotation[:, 2]).abs()
    assert cosines.median() > 0.999
    assert torch.allclose(torch.linalg.det(planes.axes), torch.ones(80, dtype=torch.float64))
    assert (planes.spreads.diff(dim=-1) >= 0).all()


def test_a_reflection_becomes_a_rotation() -> None:
    mirrored = random_rotation(0).clone()
    mirrored[:, 0] *= -1
    assert torch.allclose(proper(mirrored), random_rotation(0))
    assert torch.allclose(proper(random_rotation(1)), random_rotation(1))
