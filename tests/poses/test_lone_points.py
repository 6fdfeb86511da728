"""Which sparse points stand alone: on a wall whose every point is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from firstlight.capture import load
from firstlight.poses import estimate
from firstlight.poses._lone_points import without_lone
from firstlight.scene import Cameras, Points
from tests.photo_sets import photo_set

WALL, WRONG = 400, 30


def cameras() -> Cameras:
    viewmats = torch.eye(4).repeat(3, 1, 1)
    viewmats[:, 0, 3] = torch.tensor([0.5, 0.0, -0.5])
    return Cameras(viewmats, torch.eye(3).repeat(3, 1, 1), torch.full((3,), 64), torch.full((3,), 48))


def scene(photos: int) -> Points:
    """A slanted wall, and points anywhere on the rays of some of its own, all seen by as many photos."""
    rng = np.random.default_rng(0)
    across = rng.uniform(-1, 1, (WALL, 2))
    wall = np.column_stack([across, 2 + 0.5 * across[:, 0]])
    off = np.exp(rng.uniform(np.log(1.5), np.log(8), WRONG) * rng.choice([-1, 1], WRONG))
    xyz = torch.from_numpy(np.concatenate([wall, wall[:WRONG] * off[:, None]]))
    count = len(xyz)
    return Points(
        xyz, torch.zeros(count, 3, dtype=torch.uint8), torch.zeros(count, dtype=torch.float64),
        torch.arange(count).repeat(photos), torch.arange(photos).repeat_interleave(count),
    )  # fmt: skip


def wrong(points: Points) -> int:
    wall = (points.xyz[:, 2] - 2 - 0.5 * points.xyz[:, 0]).abs() < 1e-9
    return int((~wall).sum())


def test_points_off_the_wall_go_and_the_wall_stays() -> None:
    kept = without_lone(scene(2), cameras())
    assert wrong(kept) <= 2
    assert len(kept) - wrong(kept) >= 0.99 * WALL
    assert len(kept.track_point) == 2 * len(kept)


def test_wrong_points_that_bear_each_other_out_go_with_the_last_of_them() -> None:
    """Six in a bunch before the wall for the first camera; for the second the nearer half stand alone."""
    points = scene(2)
    points = points.select(torch.arange(len(points)) < WALL)
    bunch = torch.tensor([[0.002 * i, 0.0, 1.0] for i in range(6)], dtype=torch.float64)
    count = WALL + len(bunch)
    other = torch.cat([torch.full((3,), 1), torch.full((3,), 2)])
    both = Points(
        torch.cat([points.xyz, bunch - cameras().viewmats[0, :3, 3].double()]),
        torch.zeros(count, 3, dtype=torch.uint8), torch.zeros(count, dtype=torch.float64),
        torch.cat([points.track_point, torch.arange(WALL, count).repeat(2)]),
        torch.cat([points.track_photo, torch.zeros(6, dtype=torch.long), other]),
    )  # fmt: skip
    assert wrong(both) == 6
    # Three of the second camera stand alone there; without these the other three have two left each.
    assert wrong(without_lone(both, cameras())) == 0


def test_what_three_photos_saw_stays() -> None:
    assert len(without_lone(scene(3), cameras())) == WALL + WRONG


def test_one_photo_that_sees_it_alone_is_enough() -> None:
    """On the rays of the first camera, among points that only that camera sees."""
    points = scene(2)
    beside = points.track_point >= WALL
    photo = torch.where(beside & (points.track_photo == 1), 2, points.track_photo)
    kept = without_lone(replace(points, track_photo=photo), cameras())
    assert wrong(kept) <= 4  # the second one found some of them


def test_a_handful_of_points_is_left_as_it_is() -> None:
    few = scene(2).select(torch.arange(WALL + WRONG) >= WALL + WRONG - 3)
    assert len(without_lone(few, cameras())) == 3


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_the_unit_does_not_matter(unit: float) -> None:
    points, one = scene(2), cameras()
    viewmats = one.viewmats.clone()
    viewmats[:, :3, 3] *= unit
    kept = without_lone(replace(points, xyz=points.xyz * unit), replace(one, viewmats=viewmats))
    assert torch.allclose(kept.xyz, without_lone(points, one).xyz * unit)


def test_nothing_hangs_before_the_fern() -> None:
    """Of what the whole set gave COLMAP one point in a thousand is nearer than 0.6 of the median."""
    capture = load(photo_set("llff-fern") / "images")
    found = estimate(capture.select(list(capture.split(views=3).train))).capture
    points, seen_from = found.points, found.cameras
    assert points is not None and seen_from is not None
    away = (points.xyz[points.track_point] - seen_from.centers[points.track_photo].double()).norm(dim=1)
    assert len(points) > 1500
    assert float((away < 0.6 * away.median()).double().mean()) < 0.005  # 0.05 with lone points
