"""The parts of structure from motion against brute force and known truth."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pycolmap
import pytest

from firstlight.poses._extend import _scale, _Seen
from firstlight.poses._features import Features
from firstlight.poses._focal import shared_focal
from firstlight.poses._guided import match_along_lines, sort_into_cells
from firstlight.poses._matching import MAX_ANGLE, RATIO, UNIT, match_nearest
from firstlight.poses._mirrored import flipped
from firstlight.poses._sift import Sift, root_sift
from tests.poses.corner import WIDTH, look_at, photo_of, photograph


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


def test_sigterm_ends_the_process_without_a_stack_trace():
    code = "import os, signal, firstlight.capture; os.kill(os.getpid(), signal.SIGTERM)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -15 and done.stderr == ""
