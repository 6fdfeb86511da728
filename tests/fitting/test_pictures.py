from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from firstlight.fitting.pictures import Pictures
from firstlight.scene import Cameras, Capture, Photo, Picture


def capture(count: int, decoded: list[int]) -> Capture:
    def decode(index: int) -> Picture:
        decoded.append(index)
        return Picture(np.full((20, 30, 3), index, np.uint8), np.full((20, 30), 255, np.uint8))

    photos = [Photo(f"{i}.png", 30, 20, partial(decode, i)) for i in range(count)]
    K = torch.tensor([[40.0, 0, 15], [0, 40, 10], [0, 0, 1]])
    size = torch.tensor([30] * count), torch.tensor([20] * count)
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
    one = 30 * 20 * 4
    pictures = Pictures(capture(5, decoded), budget=2 * one)
    for index in (0, 1, 2, 3, 4, 0, 4):
        assert pictures.at(index).rgb[0, 0, 0] == index
        assert pictures.bytes == one * len(pictures.kept) <= 2 * one
    assert len(decoded) == 6  # 0 had to go and came again; 4 was still there


def test_depth_is_taken_from_the_middle_of_what_a_pixel_covers() -> None:
    on = capture(1, [])
    across = np.arange(30, dtype=np.float32)[None].repeat(20, 0)
    on.photos[0] = replace(on.photos[0], depth=lambda: across)
    depth = Pictures(on).depth(0, 1 / 3)
    assert depth is not None and depth[0].tolist() == [*range(1, 30, 3)]


def test_camera_shrinks_with_its_photo() -> None:
    camera = Pictures(capture(1, [])).camera(0, 0.5)
    assert (int(camera.width[0]), int(camera.height[0])) == (15, 10)
    assert torch.equal(camera.Ks[0], torch.tensor([[20.0, 0, 7.5], [0, 20, 5], [0, 0, 1]]))
