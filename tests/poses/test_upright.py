from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from firstlight.poses import upright
from firstlight.scene import Cameras, Capture, Photo, Picture, Points, Similarity


def looking(eyes: Any, targets: Any, down: Any = (0.0, 1.0, 0.0)) -> Any:
    """World → camera [C, 4, 4] of level cameras at ``eyes`` [C, 3]."""
    viewmats = []
    for eye, target in zip(np.asarray(eyes, float), np.asarray(targets, float), strict=True):
        z = (target - eye) / np.linalg.norm(target - eye)
        x = np.cross(down, z)
        x /= np.linalg.norm(x)
        rotation = np.stack([x, np.cross(z, x), z])
        viewmat = np.eye(4)
        viewmat[:3, :3] = rotation
        viewmat[:3, 3] = -rotation @ eye
        viewmats.append(viewmat)
    return torch.from_numpy(np.array(viewmats))


def capture_of(viewmats: Any) -> Capture:
    n = len(viewmats)
    photos = [Photo(f"{i}.jpg", 64, 48, lambda: Picture(np.zeros((48, 64, 3), np.uint8))) for i in range(n)]
    size = torch.full((n,), 64), torch.full((n,), 48)
    cameras = Cameras(viewmats, torch.eye(3, dtype=torch.float64).repeat(n, 1, 1), *size)
    points = Points(torch.randn(5, 3).double(), torch.zeros(5, 3, dtype=torch.uint8), torch.zeros(5))
    return Capture(photos, "test", cameras, points)


def orbit(count: int = 12, arc: float = 2 * np.pi, height: float = -1.5) -> Any:
    angle = np.linspace(0, arc, count, endpoint=False)
    eyes = np.stack([3 * np.cos(angle), np.full(count, height), 3 * np.sin(angle)], -1)
    return looking(eyes, np.zeros((count, 3)))


SOMEHOW = Similarity(
    3.7,
    torch.linalg.qr(torch.tensor([[1.0, 2, 3], [0.5, -1, 2], [3, 1, -1]], dtype=torch.float64))[0],
    torch.tensor([5.0, -2, 9], dtype=torch.float64),
)


@pytest.fixture
def somehow():
    turn = SOMEHOW.rotation * torch.linalg.det(SOMEHOW.rotation).sign()
    return Similarity(SOMEHOW.scale, turn, SOMEHOW.translation)


@pytest.mark.parametrize("arc", [2 * np.pi, np.pi, 0.8])
def test_an_orbit_that_looks_down_becomes_level(arc, somehow):
    level = upright(capture_of(orbit(arc=arc)).transform(somehow))
    assert level.cameras is not None
    heights = level.cameras.centers[:, 1]
    assert heights.std() < 0.02  # of a scene of extent 1
    assert (level.cameras.rotations[:, 1, 1] > 0.5).all()  # pictures' down is the world's down
    assert level.cameras.centers.mean(0).abs().max() < 1e-6
    assert level.cameras.extent == pytest.approx(1, abs=1e-6)


def test_cameras_side_by_side_face_along_z(somehow):
    eyes = np.stack([np.linspace(-1, 1, 7), np.zeros(7), np.zeros(7)], -1)
    capture = capture_of(looking(eyes, eyes + np.array([0, 0, 5]))).transform(somehow)
    level = upright(capture)
    assert level.cameras is not None
    torch.testing.assert_close(
        level.cameras.rotations, torch.eye(3, dtype=torch.float64).expand(7, 3, 3), atol=1e-6, rtol=0
    )


def test_a_drone_that_looks_straight_down_on_its_way_out_and_back(somehow):
    eyes = np.stack([np.linspace(-1, 1, 8), np.full(8, -2.0), np.zeros(8)], -1)
    headings = [(1.0, 0, 0)] * 4 + [(-1.0, 0, 0)] * 4
    viewmats = torch.cat(
        [looking([e], [e + np.array([0, 5, 0])], h) for e, h in zip(eyes, headings, strict=True)]
    )
    level = upright(capture_of(viewmats).transform(somehow))
    assert level.cameras is not None
    assert (level.cameras.rotations[:, 2, 1] > 0.999).all()  # they look along +y: down


def test_where_verticals_cancel_down_is_what_the_first_picture_takes_for_it(somehow):
    eyes = [[0, 0, 0], [2.0, 0, 2]]
    viewmats = looking(eyes, [[0, 0, 1], [3.0, 0, 2]])
    viewmats[1] = torch.diag(torch.tensor([-1.0, -1, 1, 1], dtype=torch.float64)) @ viewmats[1]  # on its head
    level = upright(capture_of(viewmats).transform(somehow)).cameras
    assert level is not None
    torch.testing.assert_close(torch.linalg.det(level.rotations), torch.ones(2, dtype=torch.float64))
    assert float(level.rotations[0, 1, 1]) == pytest.approx(1)


def test_points_move_with_the_cameras_and_twice_is_once(somehow):
    capture = capture_of(orbit()).transform(somehow)
    once = upright(capture)
    twice = upright(once)
    assert once.points is not None and twice.points is not None and capture.points is not None
    torch.testing.assert_close(twice.points.xyz, once.points.xyz, atol=1e-6, rtol=0)
    before = torch.pdist(capture.points.xyz) / torch.pdist(capture.points.xyz)[0]
    torch.testing.assert_close(torch.pdist(once.points.xyz) / torch.pdist(once.points.xyz)[0], before)


def test_a_capture_without_cameras_is_refused():
    photos = capture_of(orbit()).photos
    with pytest.raises(ValueError, match="no cameras"):
        upright(Capture(photos, "test"))
