from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from firstlight.fitting.pictures import LEAST, Pictures
from firstlight.scene import Cameras, Capture, Photo, Picture


def capture(count: int, decoded: list[int]) -> Capture:
    def decode(index: int) -> Picture:
        decoded.append(index)
        return Picture(np.full((160, 240, 3), index, np.uint8), np.full((160, 240), 255, np.uint8))

    photos = [Photo(f"{i}.png", 240, 160, partial(decode, i)) for i in range(count)]
    K = torch.tensor([[320.0, 0, 120], [0, 320, 80], [0, 0, 1]])
    size = torch.tensor([240] * count), torch.tensor([160] * count)
    return Capture(photos, "test", Cameras(torch.eye(4).expand(count, 4, 4), K.expand(count, 3, 3), *size))


def test_decoded_once_where_memory_allows() -> None:
    decoded: list[int] = []
    pictures = Pictures(capture(4, decoded))
    for _ in range(3):
        for index in range(4):
            for scale in (0.5, 1.0):
                assert pictures.at(index, scale).rgb[0, 0, 0] == index
    assert sorted(decoded) == [0, 1, 2, 3]


def test_budget_is_kept_and_pictures_stay_right() -> None:
    decoded: list[int] = []
    one = 240 * 160 * 4
    pictures = Pictures(capture(5, decoded), budget=2 * one)
    for index in (0, 1, 2, 3, 4, 0, 4):
        assert pictures.at(index).rgb[0, 0, 0] == index
        assert pictures.bytes == one * len(pictures.kept) <= 2 * one
    assert len(decoded) == 6  # 0 had to go and came again; 4 was still there


def test_depth_is_taken_from_the_middle_of_what_a_pixel_covers() -> None:
    on = capture(1, [])
    across = np.arange(240, dtype=np.float32)[None].repeat(160, 0)
    on.photos[0] = replace(on.photos[0], depth=lambda: across)
    depth = Pictures(on).depth(0, 1 / 3)
    assert depth is not None and depth[0].tolist() == [*range(1, 240, 3)]


def test_camera_shrinks_with_its_photo() -> None:
    camera = Pictures(capture(1, [])).camera(0, 0.5)
    assert (int(camera.width[0]), int(camera.height[0])) == (120, 80)
    assert torch.equal(camera.Ks[0], torch.tensor([[160.0, 0, 60], [0, 160, 40], [0, 0, 1]]))


def test_no_picture_gets_smaller_than_what_says_something() -> None:
    pictures = Pictures(capture(1, []))
    camera = pictures.camera(0, 0.1)
    assert pictures.at(0, 0.1).rgb.shape == (53, LEAST, 3)
    assert (int(camera.width[0]), int(camera.height[0])) == (LEAST, 53)
    pictures.photos[0] = replace(pictures.photos[0], width=60, height=40)
    assert pictures.camera(0, 0.5).width.tolist() == [60], "a photo smaller than that stays as it is"
