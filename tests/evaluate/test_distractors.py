"""Pieces of photos pasted into photos, and the tool that does so with folders."""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstlight.capture import load_demo
from firstlight.evaluate import with_distractors
from firstlight.evaluate.distractors import paste
from firstlight.scene import Picture

TOOL = Path(__file__).parents[2] / "tools" / "paste_distractors.py"


def noise(count: int, height: int = 60, width: int = 80) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]


@pytest.mark.parametrize("area", [0.1, 0.2])
def test_a_share_of_the_photos_gets_a_piece_of_about_the_size_asked_for(area: float) -> None:
    capture = load_demo(with_cameras=True).select(range(10)).resized(96)
    made, where = with_distractors(capture, noise(2), share=0.4, area=area, seed=3)
    again, same = with_distractors(capture, noise(2), share=0.4, area=area, seed=3)
    other, elsewhere = with_distractors(capture, noise(2), share=0.4, area=area, seed=4)
    changed = [i for i in range(10) if where[i].any()]
    assert len(changed) == 4
    assert all(0.7 * area < where[i].mean() < 1.3 * area for i in changed)
    for i in range(10):
        before, after = capture.photos[i].decode().rgb, made.photos[i].decode().rgb
        assert np.array_equal(before[~where[i]], after[~where[i]]), "only there"
        assert not where[i].any() or (before[where[i]] != after[where[i]]).any(-1).mean() > 0.9
        assert np.array_equal(after, again.photos[i].decode().rgb) and np.array_equal(where[i], same[i])
    assert any(not np.array_equal(a, b) for a, b in zip(where, elsewhere, strict=True))
    assert made.cameras is capture.cameras and other.cameras is capture.cameras


def test_sources_smaller_than_the_piece_are_enlarged_and_masks_are_kept() -> None:
    capture = load_demo(with_cameras=True).select([0]).resized(96)
    mask = np.full((72, 96), 255, np.uint8)
    photo = capture.photos[0]
    capture = replace(capture, photos=[replace(photo, decode=partial(Picture, photo.decode().rgb, mask))])
    made, where = with_distractors(capture, noise(1, 5, 7), share=1.0, area=0.3)
    assert where[0].any() and made.photos[0].decode().mask is mask


@pytest.mark.parametrize("size", [(1, 50), (50, 1), (1, 1)])
def test_sources_a_pixel_wide_are_sources(size: tuple[int, int]) -> None:
    photo, source = np.zeros((300, 60, 3), np.uint8), np.full((*size, 3), 200, np.uint8)
    for seed in range(20):
        made = paste(photo, source, 0.15, np.random.default_rng(seed))
        assert made.where.any() and (made.rgb[made.where] == 200).all()


def test_the_tool_writes_photos_and_where_it_changed_them(tmp_path: Path, monkeypatch) -> None:
    for folder, count in (("photos", 5), ("from", 1)):
        (tmp_path / folder).mkdir()
        for i, pixels in enumerate(noise(count)):
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["tool", str(tmp_path / "photos"), str(tmp_path / "from"), str(out)])
    runpy.run_path(str(TOOL), run_name="__main__")
    names = [f"{i}.png" for i in range(5)]
    assert sorted(path.name for path in (out / "images").iterdir()) == names
    changed = [np.asarray(Image.open(out / "distractors" / name)).any() for name in names]
    assert sum(changed) == 2
    for name, pasted in zip(names, changed, strict=True):
        before, after = (np.asarray(Image.open(f / name)) for f in (tmp_path / "photos", out / "images"))
        assert np.array_equal(before, after) != pasted
