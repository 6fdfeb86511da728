"""The parts of structure from motion against brute force and known truth."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pycolmap
import pytest
import torch

from firstlight.poses import resect
from firstlight.poses._extend import _scale, _Seen, extend
from firstlight.poses._features import Features, Matches
from firstlight.poses._focal import shared_focal
from firstlight.poses._guided import match_along_lines, sort_into_cells
from firstlight.poses._ladder import _look
from firstlight.poses._mapping import lens_cameras
from firstlight.poses._matching import MAX_ANGLE, RATIO, UNIT, match_nearest
from firstlight.poses._mirrored import flipped
from firstlight.poses._pairs import Link, no_link
from firstlight.poses._refine import adjusted
from firstlight.poses._sift import Sift, _chosen, root_sift
from firstlight.poses._undistort import lenses_of
from firstlight.progress import Silent
from firstlight.scene import Cameras
from tests.poses.corner import HEIGHT, WIDTH, corner, look_at, photo_of, photograph


def descriptors(rng: np.random.Generator, count: int) -> np.ndarray:
    return root_sift(rng.gamma(0.5, 1.0, (count, 128)).astype(np.float32))


def noisy(rng: np.random.Generator, stored: np.ndarray) -> np.ndarray:
    return np.clip(stored.astype(int) + rng.integers(-9, 10, stored.shape), 0, 255).astype(np.uint8)


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.arccos(np.clip(a.astype(np.float64) @ b.T.astype(np.float64) / UNIT**2, -1, 1))


def test_nearest_matches_are_those_of_brute_force():
    rng = np.random.default_rng(1)
    a = descriptors(rng, 300)
    b = np.concatenate([noisy(rng, a[rng.permutation(300)[:200]]), descriptors(rng, 150)])
    found = match_nearest(a, b)
    angle = angles(a, b)
    expected = []
    for i in range(len(a)):
        j = int(angle[i].argmin())
        rows, columns = np.sort(angle[i]), np.sort(angle[:, j])
        clear = rows[0] < RATIO * rows[1] and columns[0] < RATIO * columns[1] and rows[0] <= MAX_ANGLE
        if clear and int(angle[:, j].argmin()) == i:
            expected.append((i, j))
    assert found.rows.tolist() == [list(pair) for pair in expected] and len(expected) > 150
    ratio = [np.sort(angle[i])[0] / np.sort(angle[i])[1] for i, _ in expected]
    assert np.allclose(found.confidence, 1 - np.array(ratio), atol=1e-4)


def test_what_looks_the_same_twice_matches_nothing() -> None:
    rng = np.random.default_rng(6)
    once, twice = descriptors(rng, 60), descriptors(rng, 60)
    nearly = twice.copy()
    nearly[np.arange(60), twice.argmax(1)] -= 1  # another rounding
    for again in (twice, nearly):
        found = match_nearest(np.concatenate([once, twice]), np.concatenate([once, twice, again]))
        assert found.rows.tolist() == [[i, i] for i in range(60)]
        assert found.confidence.min() > 0.5
    row = np.stack([np.arange(180) * 10.0, np.zeros(180)], -1)
    first, second = [
        sort_into_cells(Features(xy.astype(np.float32), d, np.zeros((len(d), 3), np.uint8)), xy)
        for xy, d in (
            (row[:120], np.concatenate([once, twice])),
            (row, np.concatenate([once, twice, twice])),
        )
    ]
    level = np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0.0]])  # all lie on one row of pixels
    along = match_along_lines(first, second, level, 1.0)
    assert sorted(along.rows.tolist()) == [[i, i] for i in range(60)]


def test_an_enlarged_mask_keeps_what_lies_on_its_pixels() -> None:
    mask = np.array([[0, 255, 255]], np.uint8)
    keypoints = [
        cv2.KeyPoint(float(x), 0.0, 1.0) for x in range(4)
    ]  # each pixel three quarters of the mask's
    assert [k.pt[0] for k in _chosen(keypoints, mask, 4, 1, 8)] == [1, 2, 3]


def test_flipped_descriptors_are_those_of_the_mirror_image() -> None:
    rgb = photograph(look_at((0.0, -0.6, -1.6), (0.0, 0.2, 1.8)))
    sift = Sift()
    plain = sift.describe(photo_of("plain.png", rgb))
    mirror = sift.describe(photo_of("mirror.png", np.ascontiguousarray(rgb[:, ::-1])))
    found = match_nearest(plain.descriptors, flipped(mirror.descriptors)).rows
    there = [WIDTH, 0] + mirror.xy[found[:, 1]] * [-1, 1]
    off = np.linalg.norm(plain.xy[found[:, 0]] - there, axis=1)
    assert len(found) > 0.8 * len(plain) and np.quantile(off, 0.95) < 1
    assert len(match_nearest(plain.descriptors, mirror.descriptors)) < 0.1 * len(found)


def test_matches_along_lines_lie_on_them_and_find_what_is_there():
    rng = np.random.default_rng(2)
    count, focal = 400, 500.0
    views = [look_at((0.0, 0.0, 0.0), (0.0, 0.0, 5.0)), look_at((0.8, 0.1, 0.0), (0.0, 0.2, 5.0))]
    xyz = rng.uniform((-2, -1.5, 4), (2, 1.5, 6), (count, 3))
    xy = []
    for view in views:
        local = xyz @ view[:3, :3].T + view[:3, 3]
        xy.append(focal * local[:, :2] / local[:, 2:])
    a = descriptors(rng, count)
    order = rng.permutation(count)
    pose = views[1] @ np.linalg.inv(views[0])
    essential = pycolmap.essential_matrix_from_pose(pycolmap.Rigid3d(pose[:3]))
    scale = np.diag([1 / focal, 1 / focal, 1])
    fundamental = scale @ essential @ scale
    first, second = [
        sort_into_cells(Features(p.astype(np.float32), d, np.zeros((count, 3), np.uint8)), p)
        for p, d in ((xy[0], a), (xy[1][order], noisy(rng, a[order])))
    ]
    found = match_along_lines(first, second, fundamental, 1.0)
    right = order[found.rows[:, 1]] == found.rows[:, 0]
    assert len(found) > 0.95 * count and right.mean() > 0.99
    aside = xy[1] + [0, 30]  # off their lines, not even equals are found
    away = sort_into_cells(Features(aside.astype(np.float32), a, np.zeros((count, 3), np.uint8)), aside)
    shifted = match_along_lines(first, away, fundamental, 1.0)
    assert np.count_nonzero(shifted.rows[:, 0] == shifted.rows[:, 1]) < 0.2 * count


@pytest.mark.parametrize("focal", [450.0, 700.0, 1200.0])
def test_the_shared_focal_length_is_found_from_matches(focal):
    rng = np.random.default_rng(3)
    xyz = rng.uniform((-2, -1.5, 3), (2, 1.5, 7), (300, 3))
    eyes = [(-1.0, -0.2, 0.0), (0.0, 0.3, -0.6), (1.1, -0.1, 0.2)]
    seen = []
    for i, eye in enumerate(eyes):
        view = look_at(eye, (0.1 * i, 0.2 * i, 5.0))
        local = xyz @ view[:3, :3].T + view[:3, 3]
        seen.append(focal * local[:, :2] / local[:, 2:] + rng.normal(0, 0.3, (300, 2)))
    pairs = [(seen[0], seen[1]), (seen[1], seen[2]), (seen[0], seen[2])]
    assert shared_focal(pairs, 800.0, 0) == pytest.approx(focal, rel=0.08)
    assert shared_focal(pairs, 800.0, 0, prior=focal) is None  # nothing to mend


def test_no_focal_length_is_made_up_from_noise():
    rng = np.random.default_rng(4)
    pairs = [(rng.uniform(-400, 400, (100, 2)), rng.uniform(-400, 400, (100, 2))) for _ in range(3)]
    assert shared_focal(pairs, 800.0, 0) is None
    assert shared_focal([], 800.0, 0) is None


def test_the_distance_of_a_photo_comes_from_points_that_are_known_or_beside_them():
    rng = np.random.default_rng(5)
    xy = rng.uniform(0, 800, (200, 2))
    depth = 3 + xy[:, 0] / 400  # a slanted wall
    seen = _Seen(np.arange(100), xy[:100], depth[:100])
    rows = np.arange(50, 150).astype(np.uint32)
    assert _scale(seen, rows, xy[50:150], depth[50:150] / 1.7, 800) == pytest.approx(1.7)
    beside = np.arange(100, 200).astype(np.uint32)  # none of them known
    assert _scale(seen, beside, xy[100:], depth[100:] / 1.7, 800) == pytest.approx(1.7, rel=0.03)
    wild = depth[100:] / 1.7 * rng.uniform(0.3, 3, 100)
    assert _scale(seen, beside, xy[100:], wild, 800) is None
    assert _scale(seen, beside, xy[100:] + 5000, depth[100:], 800) is None


def test_a_photo_is_placed_through_the_lens_that_the_model_found_for_another_photo() -> None:
    """Photos 0 and 1 share a lens, 2 and 3 another one, which EXIF knows nothing of; 3 is missing."""
    rng = np.random.default_rng(0)
    xyz = rng.uniform((-2, -1.5, 4), (2, 1.5, 6), (200, 3))
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    unknown = lens_cameras([photo_of(f"{i}.png", rgb, lens="ab"[i // 2]) for i in range(4)])
    focals = {1: 300.0, 2: 520.0}
    known = [
        pycolmap.Camera.create_from_model_name(number, "SIMPLE_RADIAL", focals[number], WIDTH, HEIGHT)
        for number in (1, 1, 2, 2)
    ]
    poses = [pycolmap.Rigid3d(pycolmap.Rotation3d(), np.array([-0.8 * i, -0.1 * i * i, 0])) for i in range(4)]
    features = []
    for pose, camera in zip(poses, known, strict=True):
        xy = camera.img_from_cam(xyz + pose.translation).astype(np.float32)
        features.append(Features(xy, np.zeros((200, 1), np.uint8), np.zeros((200, 3), np.uint8)))
    geometry = pycolmap.TwoViewGeometry()
    geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED.value
    geometry.inlier_matches = np.stack([np.arange(200)] * 2, 1).astype(np.uint32)
    link = Link(Matches(geometry.inlier_matches, np.ones(200, np.float32)), geometry)
    links = dict.fromkeys(((0, 1), (0, 2), (1, 2), (0, 3)), link)
    names = [f"{i}.png" for i in range(4)]
    model = adjusted({i: poses[i] for i in range(3)}, names, features, known, links, 0)
    placed = extend(model, unknown, features, links, 0)[4]
    step = placed * model.image(1).cam_from_world().inverse()
    assert np.rad2deg(step.rotation.angle()) < 0.5
    direction = step.translation / np.linalg.norm(step.translation)
    assert direction @ poses[3].translation > 0.999 * np.linalg.norm(poses[3].translation)


def test_a_photo_whose_pairs_have_no_geometry_is_left_out_of_the_last_adjustment() -> None:
    truth = corner(4)
    seen = _look(truth.photos, Sift(), 0, Silent())
    links = {pair: no_link() if 3 in pair else link for pair, link in seen.links.items()}
    assert truth.cameras is not None
    viewmats = truth.cameras.viewmats[:, :3].double().numpy()
    poses = {i: pycolmap.Rigid3d(viewmat) for i, viewmat in enumerate(viewmats)}
    names = [photo.name for photo in truth.photos]
    model = adjusted(poses, names, seen.features, seen.cameras, links, 0)
    assert sorted(model.reg_image_ids()) == [1, 2, 3] and model.num_points3D() > 100


def test_what_exif_says_of_a_lens_counts_in_any_order() -> None:
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    told = [None, 500.0, 300.0, 310.0]
    photos = [replace(photo_of(f"{i}.png", rgb), focal=focal) for i, focal in enumerate(told)]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]):
        cameras = lens_cameras([photos[i] for i in order])
        assert {camera.camera_id for camera in cameras} == {1}
        assert cameras[0].has_prior_focal_length and cameras[0].mean_focal_length() == 310
    assert not lens_cameras(photos[:1])[0].has_prior_focal_length
    alone = lens_cameras(photos, apart=True)
    assert len({camera.camera_id for camera in alone}) == 4
    assert not any(camera.has_prior_focal_length for camera in alone)


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
def test_a_pose_is_found_through_a_lens_that_bends(model) -> None:
    rng = np.random.default_rng(7)
    viewmat = look_at((0.4, -0.3, -1.0), (0.1, 0.2, 4.0))
    xyz = rng.uniform((-3, -2, 1), (3, 2, 4), (200, 3))
    local = xyz @ viewmat[:3, :3].T + viewmat[:3, 3]
    K = torch.tensor([[[200.0, 0, 190], [0, 200, 140], [0, 0, 1]]])
    size = torch.tensor([WIDTH]), torch.tensor([HEIGHT])
    bent = torch.tensor([[-0.05, 0.01, 0.002, -0.001, 0, 0, 0, 0]])
    camera = Cameras(torch.eye(4)[None], K, *size, model, bent)
    xy, _ = lenses_of(camera)[0].project(local[:, 0] / local[:, 2], local[:, 1] / local[:, 2])
    found = resect(xy, xyz, camera)
    assert found is not None and found.inliers.mean() > 0.9
    np.testing.assert_allclose(found.viewmat, viewmat, atol=1e-3)


def test_no_pose_is_made_up_for_cameras_without_a_pinhole() -> None:
    one = torch.tensor([9])
    with pytest.raises(ValueError, match="orthographic"):
        resect(
            np.zeros((20, 2)), np.zeros((20, 3)),
            Cameras(torch.eye(4)[None], torch.eye(3)[None], one, one, "orthographic"),
        )  # fmt: skip


def test_sigterm_ends_the_process_without_a_stack_trace():
    code = "import os, signal, firstlight.capture; os.kill(os.getpid(), signal.SIGTERM)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -15 and done.stderr == ""
