"""Starts from a dense cloud: which points are taken, and what stands in when there are none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from firstlight.errors import InputError
from firstlight.scene import Capture, Cloud
from firstlight.starts import CloudAndPoints, CloudStart, EdgsStart, InstantStart
from tests.starts.test_starts import begin, capture, cloud, points_at


def dense(count: int, seed: int = 1) -> Cloud:
    """Points around the origin; each second one is sure, and its colour's red channel says so."""
    xyz = cloud(count, seed).float()
    sure = torch.arange(count) % 2 == 0
    rgb = torch.stack([torch.where(sure, 255, 0), *torch.full((2, count), 100)], -1).to(torch.uint8)
    normals = torch.nn.functional.normalize(xyz, dim=-1)
    ones = torch.ones(count)
    return Cloud(
        xyz, rgb, normals, 0.02 * ones, 0.01 * ones, torch.where(sure, 1.0, 1e-9), torch.zeros(count).long()
    )


def both(points: int | None, count: int | None) -> Capture:
    on = capture(points=None if points is None else points_at(cloud(points)))
    return on if count is None else replace(on, cloud=dense(count))


@pytest.mark.parametrize("start", [InstantStart(300), EdgsStart(300)], ids=["instantsplat", "edgs"])
def test_the_surest_are_taken_where_there_are_too_many(start: InstantStart | EdgsStart) -> None:
    gaussians = begin(start, both(None, 1000))
    assert len(gaussians) == 300
    assert float((gaussians.rgb[:, 0] > 0.5).float().mean()) > 0.9
    assert len(begin(start, both(None, 200))) == 200


def test_dense_and_sparse_points_stand_side_by_side() -> None:
    on = both(40, 1000)
    gaussians = begin(CloudAndPoints(most=300), on)
    assert len(gaussians) == 340 and on.points is not None
    torch.testing.assert_close(gaussians.means[300:], on.points.xyz.float())
    assert len(begin(CloudAndPoints(most=300), both(None, 1000))) == 300


@pytest.mark.parametrize("count", [None, 0])
def test_without_a_cloud_sparse_points_or_random_ones_stand_in(count: int | None) -> None:
    assert len(begin(CloudAndPoints(), both(150, count))) == 150
    assert len(begin(CloudAndPoints(), both(None, count))) > 1000


@pytest.mark.parametrize("start", [InstantStart(), EdgsStart(), CloudStart()])
def test_starts_that_need_a_cloud_say_so(start: InstantStart | EdgsStart | CloudStart) -> None:
    with pytest.raises(InputError, match="--geometry"):
        begin(start, both(150, None))
