"""Photos that must not become cameras: each gets its own reason, on pictures of the demo and real ones."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

import firstlight
from firstlight.capture import load_demo
from firstlight.errors import InputError
from firstlight.poses import estimate
from firstlight.poses._panorama import equirectangular_pixels
from firstlight.scene import Capture
from tests.photo_sets import photo_set
from tests.poses.corner import photo_of

SIZE = (400, 300)
FOCAL = 400.0


def turned(yaw: float, pitch: float = 0.0) -> np.ndarray:
    """Camera to world [3, 3] of a camera that looks ``yaw`` degrees to the right and ``pitch`` down."""
    turn = cv2.Rodrigues(np.array([0.0, np.deg2rad(yaw), 0.0]))[0]
    return np.asarray(turn @ cv2.Rodrigues(np.array([-np.deg2rad(pitch), 0.0, 0.0]))[0])


def rays() -> np.ndarray:
    """Of the pixels of a picture of SIZE [H, W, 3], in its camera's axes."""
    column, row = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    return np.stack([(column - SIZE[0] / 2) / FOCAL, (row - SIZE[1] / 2) / FOCAL, np.ones_like(row)], -1)


def warped(picture: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """What ``picture`` shows at ``xy`` [H, W, 2], the first pixel's centre at 0."""
    x, y = (xy[..., i].astype(np.float32) for i in range(2))
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_CUBIC))


def turning_in_front_of(picture: np.ndarray, turns: list[np.ndarray], wide: float) -> Capture:
    """What a camera sees of a picture that is taken for a view of 2 · atan(1 / ``wide``) from one spot."""
    height, width = picture.shape[:2]
    photos = []
    for i, turn in enumerate(turns):
        ahead = rays() @ turn.T
        xy = ahead[..., :2] / ahead[..., 2:] * wide * width / 2 + [width / 2, height / 2] - 0.5
        photos.append(photo_of(f"{i}.png", warped(picture, xy), lens=None))
    return Capture(photos, "test")


def test_a_camera_that_only_turned_gets_no_baseline() -> None:
    picture = load_demo().photos[0].decode().rgb
    turns = [turned(-11, -3), turned(-4, 4), turned(3, -4), turned(10, 3)]
    with pytest.raises(InputError, match=r"only turned.*a step to the side"):
        estimate(turning_in_front_of(picture, turns, wide=1.25))


def test_the_same_view_in_two_sizes_is_the_same_view() -> None:
    rgb = load_demo().photos[0].decode().rgb
    small = np.asarray(cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    photos = [photo_of("a.png", rgb, lens=None), photo_of("b.png", small, lens=None)]
    with pytest.raises(InputError, match=r"show the same view"):
        estimate(Capture(photos, "test"))


@pytest.mark.photos
def test_a_real_room_seen_from_one_spot_is_refused() -> None:
    panorama = firstlight.load(photo_set("pano-flat") / "images").photos[0].decode().rgb
    height, width = panorama.shape[:2]
    photos = []
    for i, yaw in enumerate((0, 22, 44, 66)):
        xy = equirectangular_pixels(rays() @ turned(yaw).T, width, height) - 0.5
        photos.append(photo_of(f"{i}.png", warped(panorama, xy), lens=None))
    with pytest.raises(InputError, match=r"only turned.*a step to the side"):
        estimate(Capture(photos, "test"))


def test_parts_of_a_picture_that_share_nothing_are_refused() -> None:
    rgb = load_demo().photos[0].decode().rgb
    parts = [np.ascontiguousarray(rgb[y : y + 180, x : x + 240]) for y in (0, 180) for x in (0, 240)]
    photos = [photo_of(f"{i}.png", part, lens=None) for i, part in enumerate(parts)]
    with pytest.raises(InputError, match=r"None of the 4 photos overlap.*at least half of its view"):
        estimate(Capture(photos, "test"))


def test_the_demo_and_its_mirror_image_are_two_places() -> None:
    photos = [replace(p, depth=None, lens=None) for p in load_demo().photos[:8:2]]
    mirrored = [
        photo_of(f"mirrored/{p.name}", np.ascontiguousarray(p.decode().rgb[:, ::-1]), lens=None)
        for p in photos[:2]
    ]
    found = estimate(Capture(photos + mirrored, "test"))
    assert [v.name for v in found.verdicts if v.placed] == [p.name for p in photos]
    for verdict in found.verdicts[-2:]:
        assert "separate group" in verdict.reason or "another place" in verdict.reason
