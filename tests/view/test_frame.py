from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from firstlight.scene import Gaussians, Points, Similarity
from firstlight.view.frame import LOOK_DISTANCE, fields_of_view, frame_scene
from tests.view.conftest import CENTER, Example


def turn(axis: int, angle: float) -> torch.Tensor:
    i, j = [k for k in range(3) if k != axis]
    rotation = torch.eye(3)
    rotation[i, i] = rotation[j, j] = math.cos(angle)
    rotation[i, j], rotation[j, i] = -math.sin(angle), math.sin(angle)
    return rotation


def test_first_view_is_that_of_the_first_camera(example: Example) -> None:
    frame = frame_scene(example.gaussians, example.capture)
    cameras = example.capture.cameras
    assert cameras is not None
    placed = frame.place(cameras.centers[:1])[0]
    np.testing.assert_allclose(frame.first.position, placed, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(frame.first.position - frame.first.target), LOOK_DISTANCE)
    np.testing.assert_allclose(frame.first.position / LOOK_DISTANCE, [0, 0, -1], atol=1e-5)
    np.testing.assert_allclose(frame.first.up[1], -1, atol=0.1)  # y points down in this scene
    assert frame.first.fov_y == pytest.approx(2 * math.atan(240 / 400))
    assert frame.first.fov_x == pytest.approx(2 * math.atan(320 / 400))


def test_first_view_looks_at_what_is_in_the_middle(example: Example) -> None:
    far = example.gaussians.transform(
        Similarity(1, torch.eye(3, dtype=torch.float64), torch.tensor([400.0, 0, 300]).double())
    )
    both = far.append(far).append(far).append(example.gaussians)
    frame = frame_scene(both, example.capture)
    assert np.abs(frame.place(torch.tensor([CENTER]))).max() < 0.3  # not drawn away by what is out of view


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_page_looks_alike_whatever_the_units(example: Example, scale: float) -> None:
    moved = Similarity(scale, torch.eye(3, dtype=torch.float64), torch.tensor([5.0, -7, 11]).double())
    gaussians, capture = example.gaussians, example.capture
    page = frame_scene(gaussians, capture).place(gaussians.means)
    other = gaussians.transform(moved)
    again = frame_scene(other, capture.transform(moved)).place(other.means)
    np.testing.assert_allclose(again, page, atol=2e-2)


def test_points_stand_in_for_gaussians(example: Example) -> None:
    with_points = frame_scene(None, example.capture).place(torch.tensor([CENTER]))
    assert np.abs(with_points).max() < 0.3


def test_cameras_alone_are_enough(example: Example) -> None:
    frame = frame_scene(None, replace(example.capture, points=None))
    assert np.isfinite(frame.first.position).all() and frame.to_page.scale > 0


def test_page_opens_upright_even_if_the_first_photo_is_not(example: Example) -> None:
    cameras = example.capture.cameras
    assert cameras is not None
    rolled = cameras.viewmats.clone()
    rolled[0, :3] = turn(2, math.pi / 2) @ rolled[0, :3]
    frame = frame_scene(
        example.gaussians, replace(example.capture, cameras=replace(cameras, viewmats=rolled))
    )
    assert frame.first.up[1] < -0.9
    np.testing.assert_allclose(frame.first.position / LOOK_DISTANCE, [0, 0, -1], atol=1e-5)


def test_photos_from_above_are_seen_at_a_slant(example: Example) -> None:
    """As a drone takes them, turned every way: z is up here."""
    down = torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
    viewmats = torch.eye(4).repeat(6, 1, 1)
    for i in range(6):
        viewmats[i, :3, :3] = turn(2, i * math.pi / 3) @ down
        viewmats[i, :3, 3] = -viewmats[i, :3, :3] @ torch.tensor([i % 3 - 1.0, i // 3, 10.0])
    cameras = example.capture.cameras
    assert cameras is not None
    capture = replace(
        example.capture.select([0] * 1),
        photos=[replace(example.capture.photos[0], name=f"{i}") for i in range(6)],
        cameras=replace(cameras.select([0] * 6), viewmats=viewmats),
        points=None,
    )
    first = frame_scene(None, capture).first
    np.testing.assert_allclose(first.up, [0, 0, 1], atol=0.05)
    forward = (first.target - first.position) / LOOK_DISTANCE
    assert np.linalg.norm(forward) == pytest.approx(1, abs=1e-5)
    assert math.degrees(math.acos(-forward @ first.up)) == pytest.approx(40, abs=1)


def test_without_cameras_everything_is_in_view(example: Example) -> None:
    frame = frame_scene(example.gaussians, None)
    x, y, z = (frame.place(example.gaussians.means) - frame.first.position).T
    reach = math.tan(frame.first.fov_y / 2)
    assert (z > 0).all()
    assert np.mean((np.abs(x) < reach * z) & (np.abs(y) < reach * z)) > 0.95


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_anything_to_frame(example: Example, count: int) -> None:
    few = example.gaussians.select(torch.arange(count))
    frame = frame_scene(few, None)
    assert np.isfinite(frame.place(torch.tensor([CENTER]))).all()


def test_nan_positions_do_not_spread(example: Example) -> None:
    gaussians = example.gaussians.clone()
    gaussians.means[::3] = float("nan")
    points = Points(gaussians.means.double(), torch.zeros(360, 3, dtype=torch.uint8), torch.zeros(360))
    for frame in (
        frame_scene(gaussians, example.capture),
        frame_scene(gaussians, None),
        frame_scene(None, replace(example.capture, points=points)),
    ):
        assert np.isfinite(frame.first.position).all() and math.isfinite(frame.to_page.scale)


def test_lenses_without_a_focal_length_get_an_ordinary_one(example: Example) -> None:
    cameras = example.capture.cameras
    assert cameras is not None
    panorama = replace(cameras, model="equirectangular", Ks=torch.zeros(4, 3, 3))
    assert fields_of_view(panorama, 0) == (math.radians(60), math.radians(60))


def test_empty_scene_has_a_frame() -> None:
    nothing = Gaussians.isotropic(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0))
    assert frame_scene(nothing, None).to_page.scale > 0
    assert frame_scene(None, None).to_page.scale > 0
