"""Photos against renders: numbers, files, and one photo at a time."""

from __future__ import annotations

import json
import math
import re
import weakref
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from firstlight.errors import InputError
from firstlight.evaluate import evaluate_photos, flip, psnr
from firstlight.evaluate.photos import false_colours, safe_name, to_bytes
from firstlight.scene import Capture, Photo, Picture

SIZE = (24, 32)


def make_capture(names: list[str], masked: bool = False) -> Capture:
    def picture(seed: int) -> Picture:
        pixels = np.random.default_rng(seed).integers(40, 200, (*SIZE, 3)).astype(np.uint8)
        keep = np.zeros(SIZE, np.uint8)
        keep[:, :16] = 255
        return Picture(cv2.blur(pixels, (5, 5)), keep if masked else None)

    photos = [Photo(name, SIZE[1], SIZE[0], partial(picture, seed)) for seed, name in enumerate(names)]
    return Capture(photos, "made for a test")


def darker(capture: Capture) -> Callable[[int], torch.Tensor]:
    return lambda index: torch.from_numpy(capture.photos[index].decode().rgb).float() / 255 * 0.9


def test_numbers_are_those_of_the_rounded_render():
    capture = make_capture(["a.jpg", "b.jpg", "c.jpg"])
    render = darker(capture)
    found = evaluate_photos(render, capture, [0, 2])
    assert [score.name for score in found.scores] == ["a.jpg", "c.jpg"]
    for score, index in zip(found.scores, (0, 2), strict=True):
        rounded, photo = torch.round(render(index) * 255) / 255, capture.photos[index].decode().rgb
        assert score.psnr == pytest.approx(psnr(rounded, photo), abs=1e-4)
        assert score.flip == pytest.approx(flip(rounded, photo).mean, abs=1e-5)
        assert score.psnr_aligned > score.psnr + 10
        assert (score.width, score.height, score.files) == (32, 24, {})
    assert found.means["psnr"] == pytest.approx((found.scores[0].psnr + found.scores[1].psnr) / 2)
    whole = {"psnr", "ssim", "flip", "lpips", "psnr_aligned", "lpips_note"}
    assert set(found.means) == whole | {"seen", "psnr_seen", "ssim_seen", "flip_seen"}


def test_files_reproduce_the_numbers(tmp_path):
    capture = make_capture(["x/deep one.jpg"])
    (score,) = evaluate_photos(darker(capture), capture, [0], tmp_path / "renders").per_photo
    read = {
        kind: cv2.cvtColor(cv2.imread(str(tmp_path / file)), cv2.COLOR_BGR2RGB)
        for kind, file in score["files"].items()
    }
    np.testing.assert_array_equal(read["photo"], capture.photos[0].decode().rgb)
    rendered = torch.from_numpy(read["render"]).float() / 255
    assert psnr(rendered, read["photo"]) == pytest.approx(score["psnr"], abs=1e-6)
    np.testing.assert_array_equal(read["error"], false_colours(flip(rendered, read["photo"]).map))


def test_hostile_names_stay_in_the_folder_and_apart(tmp_path):
    names = [
        "../../up.jpg",
        "/etc/passwd",
        "a b.jpg",
        "a_b.jpg",
        "A_B.JPG",
        "ü" * 300 + ".png",
        "CON",
        "..",
        "<i>.png",
    ]
    capture = make_capture(names)
    scores = evaluate_photos(
        darker(capture), capture, list(range(len(names))), tmp_path / "renders"
    ).per_photo
    files = [file for score in scores for file in score["files"].values()]
    assert len({file.lower() for file in files}) == 3 * len(names)
    assert sorted(files) == sorted(f"renders/{path.name}" for path in (tmp_path / "renders").iterdir())
    assert all(
        re.fullmatch(r"renders/\d{4}-[A-Za-z0-9._-]{1,60}\.(render|photo|error)\.png", file) for file in files
    )
    assert [path.name for path in tmp_path.iterdir()] == ["renders"]


@pytest.mark.parametrize("name", ["", "...", "////", "\0", "ß" * 500, "-rf"])
def test_safe_name_is_never_empty_or_special(name):
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", safe_name(name))


def test_masks_are_used():
    capture = make_capture(["a.jpg"], masked=True)

    def render(index: int) -> torch.Tensor:
        picture = darker(capture)(index)
        picture[:, 16:] = 0
        return picture

    whole = make_capture(["a.jpg"])
    masked, unmasked = (evaluate_photos(render, c, [0]).scores[0].psnr for c in (capture, whole))
    assert masked > unmasked + 5


def test_json_has_no_infinity_and_no_nan():
    capture = make_capture(["same.jpg"])
    found = evaluate_photos(lambda i: torch.from_numpy(capture.photos[i].decode().rgb) / 255, capture, [0])
    assert found.scores[0].psnr == math.inf
    assert found.per_photo[0]["psnr"] is None and found.means["psnr"] is None
    json.dumps([found.per_photo, found.means], allow_nan=False)
    nothing = evaluate_photos(darker(capture), capture, [])
    assert nothing.means["psnr"] is None and nothing.per_photo == []


def test_a_photo_that_is_met_exactly_leaves_the_others_their_mean():
    capture = make_capture(["same.jpg", "b.jpg"])

    def render(index: int) -> torch.Tensor:
        share = 1.0 if index == 0 else 0.9
        return torch.from_numpy(capture.photos[index].decode().rgb).float() / 255 * share

    found = evaluate_photos(render, capture, [0, 1])
    assert found.scores[0].psnr == math.inf and found.means["psnr"] == found.scores[1].psnr


def test_one_picture_at_a_time(tmp_path):
    capture = make_capture(["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    alive: list[weakref.ref[torch.Tensor]] = []

    def render(index: int) -> torch.Tensor:
        assert sum(reference() is not None for reference in alive) <= 1
        picture = darker(capture)(index)
        alive.append(weakref.ref(picture))
        return picture

    evaluate_photos(render, capture, [0, 1, 2, 3], tmp_path / "renders")
    assert len(alive) == 4


def test_a_render_of_another_size_is_refused():
    capture = make_capture(["a.jpg"])
    with pytest.raises(ValueError, match=r"a\.jpg: rendered \[10, 32, 3\]"):
        evaluate_photos(lambda _: torch.zeros(10, 32, 3), capture, [0])


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "renders").write_text("in the way")
    capture = make_capture(["a.jpg"])
    with pytest.raises(InputError, match="renders"):
        evaluate_photos(darker(capture), capture, [0], tmp_path / "renders")
    assert (tmp_path / "renders").read_text() == "in the way"


def test_to_bytes_rounds_and_clamps():
    values = torch.tensor([[[0.0, 1.0, 0.5], [2.0, -1.0, math.nan], [0.4 / 255, 0.6 / 255, 254.6 / 255]]])
    assert to_bytes(values).tolist() == [[[0, 255, 128], [255, 0, 0], [0, 1, 255]]]


def test_false_colours_brighten_with_the_error():
    ramp = false_colours(np.linspace(0, 1, 256, dtype=np.float32)[None])
    brightness = ramp.astype(float) @ [0.2126, 0.7152, 0.0722]
    assert ramp.shape == (1, 256, 3)
    assert brightness[0, 0] < 5 and brightness[0, -1] > 240
    assert (np.diff(brightness[0]) > -1).all()
