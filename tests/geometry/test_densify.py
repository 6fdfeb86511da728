"""Depth maps and clouds against the demo's exact geometry."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numba import get_num_threads, set_num_threads

from firstlight.geometry import Geometry, densify, find_geometry
from firstlight.geometry._depth_map import DepthMap
from firstlight.geometry._field import _Lesson
from firstlight.geometry._neighbours import choose_neighbours
from firstlight.geometry._views import View
from firstlight.scene import Capture, Cloud, Picture
from tests.geometry.demo import NEAR, WIDE, three, without_depth


@pytest.fixture(scope="module")
def found() -> Geometry:
    return find_geometry(without_depth(three()))


def no_points() -> Cloud:
    none, rows = torch.zeros(0), torch.zeros(0, 3)
    return Cloud(rows, rows.byte(), rows, none, none, none, none.long())


def against_truth(geometry: Geometry, truth: Capture) -> tuple[float, float]:
    """Share of pixels with a depth, and the share of those within 2 % of the exact one."""
    known, errors = 0, []
    for one, photo in zip(geometry.maps, truth.photos, strict=True):
        assert photo.depth is not None
        exact, depth = photo.depth(), one.depth
        both = (depth > 0) & (exact > 0)
        known += int((exact > 0).sum())
        errors.append(np.abs(depth[both] / exact[both] - 1))
    error = np.concatenate(errors)
    return len(error) / known, float((error < 0.02).mean())


def test_most_of_what_near_photos_share_is_found_and_right(found: Geometry) -> None:
    covered, right = against_truth(found, three())
    assert covered > 0.6
    assert right > 0.85


def test_wide_baselines_give_less_but_not_worse() -> None:
    covered, right = against_truth(find_geometry(without_depth(three(WIDE))), three(WIDE))
    assert covered > 0.3
    assert right > 0.8


def test_confidence_tells_good_from_bad(found: Geometry) -> None:
    errors, sure = [], []
    for one, photo in zip(found.maps, three().photos, strict=True):
        assert photo.depth is not None
        both = (one.depth > 0) & (photo.depth() > 0)
        errors.append(np.abs(one.depth[both] / photo.depth()[both] - 1))
        sure.append(one.confidence[both])
    error, confidence = np.concatenate(errors), np.concatenate(sure)
    surer = confidence > np.median(confidence)
    assert error[surer].mean() < 0.7 * error[~surer].mean()
    assert all((one.confidence[one.depth == 0] == 0).all() for one in found.maps)


def test_the_cloud_lies_on_surfaces_and_knows_how_well(found: Geometry) -> None:
    cloud, cameras = found.cloud, three().cameras
    assert cameras is not None
    exact = [photo.depth() for photo in three().photos if photo.depth is not None]
    off = []
    for i in range(3):
        mine = cloud.select(cloud.photos == i)
        local = mine.xyz.double() @ cameras.viewmats[i, :3, :3].double().T + cameras.viewmats[i, :3, 3]
        x, y, z = (local @ cameras.Ks[i].double().T).unbind(-1)
        column, row = (x / z).long(), (y / z).long()
        right = torch.from_numpy(exact[i])[row, column]
        off.append(((right - z).abs() / mine.sigmas)[right > 0])
        photo = three().photos[i].decode().rgb
        assert torch.equal(mine.rgb, torch.from_numpy(photo)[row, column])
        assert torch.allclose(mine.widths.double(), z / cameras.Ks[i, 0, 0], rtol=1e-3)
        towards = cameras.centers[i] - mine.xyz
        assert ((mine.normals * towards).sum(-1) > 0).float().mean() > 0.98
    # Half of a normal distribution lies within 0.67 standard deviations.
    assert 0.1 < float(torch.cat(off).median()) < 2


def test_no_surface_is_told_twice(found: Geometry) -> None:
    pixels = sum(int((one.depth > 0).sum()) for one in found.maps)
    assert len(found.cloud) < 0.75 * pixels
    assert set(found.cloud.photos.tolist()) == {0, 1, 2}


def test_normals_of_the_table_point_up(found: Geometry) -> None:
    cloud = found.cloud
    table = cloud.select((cloud.xyz[:, 2].abs() < 0.01) & (cloud.confidences > 0.3))
    assert len(table) > 200
    assert float(table.normals[:, 2].median()) > 0.95


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(found: Geometry) -> None:
    threads = get_num_threads()
    set_num_threads(1)
    try:
        again = find_geometry(without_depth(three()))
    finally:
        set_num_threads(threads)
    assert torch.equal(again.cloud.xyz, found.cloud.xyz)
    for one, other in zip(again.maps, found.maps, strict=True):
        assert np.array_equal(one.log_depth, other.log_depth) and np.array_equal(one.sure, other.sure)


def test_only_the_chosen_photos_are_looked_at(found: Geometry) -> None:
    many = three((3, *NEAR), 160)

    def refuse() -> Picture:
        raise AssertionError("a photo that was not chosen was decoded")

    photos = list(without_depth(many).photos)
    photos[0] = replace(photos[0], decode=refuse)
    given = replace(many, photos=photos, points=None)
    dense = densify(given, photos=[1, 2, 3], max_points=500)
    assert dense.cloud is not None
    assert set(dense.cloud.photos.tolist()) == {1, 2, 3}
    assert 400 < len(dense.cloud) < 600
    assert dense.photos[0].depth is None and dense.photos[0].confidence is None
    depth, confidence = dense.photos[1].depth, dense.photos[1].confidence
    assert depth is not None and confidence is not None
    assert depth().shape == (120, 160) and depth().dtype == np.float32
    assert ((depth() > 0) == (confidence() > 0)).all()


def test_masked_pixels_and_lonely_photos_get_no_depth() -> None:
    capture = without_depth(three())
    first = capture.photos[0]
    mask = np.full((first.height, first.width), 255, np.uint8)
    mask[:, :80] = 0
    masked = replace(first, decode=lambda: Picture(first.decode().rgb, mask))
    found = find_geometry(replace(capture, photos=[masked, *capture.photos[1:]]))
    assert (found.maps[0].depth[:, :80] == 0).all() and (found.maps[0].depth[:, 80:] > 0).any()
    alone = find_geometry(capture.select([0]))
    assert len(alone.cloud) == 0 and not alone.maps[0].depth.any()


def test_what_was_measured_stays() -> None:
    dense = densify(three(), max_points=100)
    assert dense.photos[0].depth is not None and dense.photos[0].confidence is None
    exact = three().photos[0].depth
    assert exact is not None and np.array_equal(dense.photos[0].depth(), exact())


def test_enlarged_depths_stay_where_they_were() -> None:
    across = np.tile((np.arange(50) + 0.5) / 50, (40, 1)).astype(np.float32)
    found = DepthMap.pack(np.float32(1) + across, np.zeros((40, 50, 3), np.float32), across)
    capture = without_depth(three().select([0]))
    photo = Geometry([capture.photos[0].name], [found], no_points()).attach(capture).photos[0]
    exact = (np.arange(160) + 0.5) / 160
    assert photo.depth is not None and photo.confidence is not None
    assert abs(float((photo.depth() - 1 - exact).mean())) < 0.1 / 160
    assert abs(float((photo.confidence() - exact).mean())) < 0.1 / 160


def test_a_radiance_field_learns_from_pixels_whose_middle_is_kept() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[:, [1, 4]] = 255
    view = View(np.zeros((3, 3), np.uint8), None, np.eye(3), np.eye(4))
    lesson = _Lesson.of(view, Picture(np.zeros((9, 9, 3), np.uint8), mask), (1.0, 2.0))
    assert lesson.pixels.tolist() == [0, 1, 3, 4, 6, 7]


@pytest.mark.parametrize("far", [0.0, 1.0, 1000.0])
def test_without_points_photos_from_one_place_are_no_neighbours(far: float) -> None:
    def views(step: float) -> list[View]:
        """Turning further and further, as float32 holds their poses."""
        found = []
        for i in range(4):
            turn = cv2.Rodrigues(np.array([0.02 * i, 0.1 * i, 0]))[0]
            viewmat = np.eye(4)
            viewmat[:3, :3] = turn
            viewmat[:3, 3] = -turn @ (far * np.array([0.3, 0.7, -0.2]) + [step * i, 0, 0])
            viewmat = viewmat.astype(np.float32).astype(np.float64)
            found.append(View(np.zeros((100, 100), np.uint8), None, np.diag([100.0, 100, 1]), viewmat))
        return found

    assert choose_neighbours(views(0), None, 3) == [[]] * 4
    assert all(len(near) == 3 for near in choose_neighbours(views(0.1), None, 3))


def test_captures_that_cannot_be_used() -> None:
    with pytest.raises(ValueError, match="no cameras"):
        densify(replace(three(), cameras=None))
    with pytest.raises(ValueError, match="no photos"):
        find_geometry(three(), photos=[])
