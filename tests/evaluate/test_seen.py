"""What of a view training photos saw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from firstlight.evaluate import Depths, evaluate_photos, seen_mask
from firstlight.evaluate.photos import SHADE, shaded
from firstlight.evaluate.seen import seen_by
from firstlight.scene import Cameras, Capture, Photo, Picture

SIZE = torch.tensor([40]), torch.tensor([30])
K = torch.tensor([[[40.0, 0.0, 20.0], [0.0, 40.0, 15.0], [0.0, 0.0, 1.0]]])


def camera_at(x: float) -> Cameras:
    """Looks along z from (x, 0, 0)."""
    viewmats = torch.eye(4)[None].clone()
    viewmats[0, 0, 3] = -x
    return Cameras(viewmats, K, *SIZE)


def wall(x: float, depth: float = 4.0) -> Depths:
    """A wall across the view."""
    return Depths(camera_at(x), torch.full((30, 40), depth), torch.ones(30, 40))


def test_the_part_of_a_wall_that_is_outside_of_the_other_photo_was_not_seen() -> None:
    # One unit aside at depth 4 is 10 pixels: the first ten columns are beyond the other picture.
    mask = seen_by(wall(0.0), [wall(1.0)])
    expected = np.zeros((30, 40), np.uint8)
    expected[:, 10:] = 255
    assert np.array_equal(mask, expected)
    assert (seen_by(wall(0.0), [wall(1.0), wall(-1.0)]) == 255).all()
    assert (seen_by(wall(0.0), []) == 0).all()


def test_what_something_hides_from_the_training_photo_was_not_seen() -> None:
    other = wall(0.0)
    other.depth[:, :20] = 2.0  # a screen before its left half
    mask = seen_by(wall(0.0), [other])
    assert (mask[:, :20] == 0).all() and (mask[:, 20:] == 255).all()
    nearer = wall(0.0)
    nearer.depth[:] = 1.9
    assert (seen_by(nearer, [other]) == 255).all(), "what stands before the surface would have been seen"


def test_nothing_is_seen_where_nothing_is_or_behind_the_camera() -> None:
    empty = wall(0.0)
    empty.alpha[:, :7] = 0.1
    assert (seen_by(empty, [wall(0.0)])[:, :7] == 0).all()
    behind = wall(0.0)
    viewmats = behind.camera.viewmats.clone()
    viewmats[0, 2, 3] = -9.0  # it stands beyond the wall and looks away from it
    behind = behind._replace(camera=replace(behind.camera, viewmats=viewmats))
    assert (seen_by(wall(0.0), [behind]) == 0).all()


def test_the_nearest_photos_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstlight.evaluate.seen.MOST", 1)
    places = [0.0, 5.0, 1.0]
    viewmats = torch.cat([camera_at(x).viewmats for x in places])
    cameras = Cameras(viewmats, K.repeat(3, 1, 1), SIZE[0].repeat(3), SIZE[1].repeat(3))
    mask = seen_mask(lambda index: wall(places[index]), 0, cameras, [1, 2])
    assert np.array_equal(mask, seen_by(wall(0.0), [wall(1.0)]))


def test_numbers_are_also_taken_where_it_was_seen() -> None:
    rgb = np.full((30, 40, 3), 128, np.uint8)
    render = torch.full((30, 40, 3), 128 / 255)
    render[:, :10] = 1.0
    capture = Capture([Photo("a.png", 40, 30, lambda: Picture(rgb))], "made")
    seen = seen_by(wall(0.0), [wall(1.0)])
    found = evaluate_photos(lambda _: render, capture, [0], seen=lambda _: seen)
    score = found.scores[0]
    assert score.seen == 0.75 and score.psnr < 20 and score.psnr_seen == float("inf")
    assert score.flip_seen == pytest.approx(0, abs=1e-6) and score.flip > 0.1
    assert evaluate_photos(lambda _: render, capture, [0]).scores[0].psnr_seen is None


def test_what_was_not_seen_is_dark() -> None:
    picture, mask = np.full((2, 2, 3), 200, np.uint8), np.array([[255, 0], [0, 255]], np.uint8)
    dark = shaded(picture, mask)
    assert (dark[0, 0] == 200).all() and (dark[0, 1] == round(SHADE * 200)).all()
