"""Cameras that a network guessed: a start for the bundle adjustment, and no harm when they are wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from firstlight.errors import InputError
from firstlight.poses import estimate, structure_from_motion
from firstlight.poses._guess import adjust_guess, guessed_cameras, link_by_guess
from firstlight.poses._ladder import LOOK, _finish, _look
from firstlight.poses._ladder import Attempt as Model
from firstlight.progress import Silent
from firstlight.scene import Cameras, Capture
from tests.poses.corner import FOCAL, corner, look_at, photo_of, photograph
from tests.poses.test_estimate import pose_errors, without_cameras


@pytest.fixture(scope="module")
def truth() -> Capture:
    return corner(6)


def off_by(cameras: Cameras, degrees: float, far: float, zoom: float) -> Cameras:
    """Each camera turned by ``degrees``, moved by ``far`` of the scene, and with another focal length."""
    rng = np.random.default_rng(0)
    viewmats = cameras.viewmats.double().numpy().copy()
    for viewmat in viewmats:
        axis, away = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
        cross = np.cross(np.eye(3), axis)
        angle = np.deg2rad(degrees)
        turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        center = -viewmat[:3, :3].T @ viewmat[:3, 3] + far * cameras.extent * away
        viewmat[:3, :3] = turn @ viewmat[:3, :3]
        viewmat[:3, 3] = -viewmat[:3, :3] @ center
    Ks = cameras.Ks.clone()
    Ks[:, :2, :2] *= zoom
    return replace(cameras, viewmats=torch.from_numpy(viewmats).float(), Ks=Ks)


def test_guessed_cameras_become_right_by_our_bundle_adjustment(truth: Capture) -> None:
    some = truth.select([1, 3, 5])
    assert some.cameras is not None
    guess = off_by(some.cameras, 3.0, 0.05, 1.05)
    assert pose_errors(replace(some, cameras=guess), truth)[0] > 3
    evidence = _look(without_cameras(some).photos, LOOK, 0, Silent())
    cameras = guessed_cameras(evidence.photos, guess)
    assert cameras[0].mean_focal_length() == pytest.approx(1.05 * FOCAL)
    links = link_by_guess(evidence.features, cameras, guess, evidence.links)
    names = [photo.name for photo in evidence.photos]
    models = adjust_guess(names, evidence.features, cameras, guess, links, 0)
    attempt = Model("guess", replace(evidence, cameras=cameras, links=links), models)
    found = _finish(without_cameras(some), attempt, []).capture
    turned, moved = pose_errors(found, truth)
    assert len(found) == 3 and turned < 0.3 and moved < 0.03


def test_a_guess_bears_out_matches_that_no_geometry_of_their_own_does(truth: Capture) -> None:
    some = truth.select([1, 3])
    assert some.cameras is not None
    evidence = _look(without_cameras(some).photos, LOOK, 0, Silent())
    link = evidence.links[0, 1]
    assert link.inliers > 100
    unsure = {(0, 1): replace(link, geometry=type(link.geometry)())}
    guess = off_by(some.cameras, 1.0, 0.02, 1.02)
    cameras = guessed_cameras(evidence.photos, guess)
    again = link_by_guess(evidence.features, cameras, guess, unsure)
    assert again[0, 1].inliers > 0.8 * link.inliers
    wrong = off_by(some.cameras, 60.0, 1.0, 1.0)
    nothing = link_by_guess(evidence.features, cameras, wrong, unsure)
    assert not nothing[0, 1].verified


def test_a_wrong_guess_does_no_harm(truth: Capture) -> None:
    some = without_cameras(truth).select([1, 3, 5])
    cameras = truth.select([1, 3, 5]).cameras
    assert cameras is not None
    for guess in (off_by(cameras, 90.0, 2.0, 1e5), off_by(cameras, 4.0, 0.1, 0.9)):
        method = partial(structure_from_motion, guess=lambda photos, progress, guess=guess: guess)
        found = estimate(some, method=method)
        turned, moved = pose_errors(found.capture, truth)
        assert len(found.capture) == 3 and turned < 0.2 and moved < 0.02


def test_a_guess_gives_no_baseline_to_a_camera_that_only_turned(truth: Capture) -> None:
    views = [look_at((0.0, -0.6, -1.6), (x, 0.2, 1.8)) for x in (-0.8, -0.4, 0.0)]
    photos = [photo_of(f"{i}.png", photograph(view)) for i, view in enumerate(views)]
    cameras = truth.select([1, 3, 5]).cameras
    assert cameras is not None
    viewmats = torch.from_numpy(np.array(views)).float()
    viewmats[:, 0, 3] += torch.tensor([-0.1, 0.0, 0.1])
    guess = replace(cameras, viewmats=viewmats)
    method = partial(structure_from_motion, guess=lambda photos, progress: guess)
    with pytest.raises(InputError, match="only turned"):
        estimate(Capture(photos, "test"), method=method)
