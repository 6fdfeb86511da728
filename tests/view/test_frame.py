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


def test_up_is_what_the_cameras_agree_on(example: Example) -> None:
    cameras = example.capture.cameras
    assert cameras is not None
    # The first photo was taken with the camera turned on its side: the page still opens upright.
    rolled = cameras.viewmats.clone()
    rolled[0, :3] = turn(2, math.pi / 2) @ rolled[0, :3]
    frame = frame_scene(
        example.gaussians, replace(example.capture, cameras=replace(cameras, viewmats=rolled))
    )
    assert frame.first.up[1] < -0.9
    # Turned every way, they agree on nothing: then it is the first one's.
    for i in range(4):
        rolled[i, :3] = turn(2, i * math.pi / 2) @ cameras.viewmats[0, :3]
    frame = frame_scene(
        example.gaussians, replace(example.capture, cameras=replace(cameras, viewmats=rolled))
    )
    np.testing.assert_allclose(frame.first.up, -rolled[0, 1, :3].numpy(), atol=1e-6)


def test_viewpoint_is_the_camera(example: Example) -> None:
    frame = frame_scene(example.gaussians, example.capture)
    cameras = example.capture.cameras
    assert cameras is not None
    there = frame.viewpoint(cameras, 3)
    np.testing.assert_allclose(there.position, frame.place(cameras.centers[3:4])[0], atol=1e-5)
    forward = there.target - there.position
    np.testing.assert_allclose(
        forward / np.linalg.norm(forward), cameras.viewmats[3, 2, :3].numpy(), atol=1e-5
    )
    np.testing.assert_allclose(there.up, -cameras.viewmats[3, 1, :3].numpy(), atol=1e-6)


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
