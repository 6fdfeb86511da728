"""Folders of photos: what is found, what is set aside, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from firstlight.capture import load
from firstlight.capture._folder import find_photos
from firstlight.comparison._plan import PLAN_FILE
from firstlight.comparison._results import RESULTS_FILE
from firstlight.errors import InputError
from firstlight.pipeline.run_folder import RUN_FILE
from tests.capture.made import save_photo, texture


def reasons(folder: Path) -> dict[str, str]:
    return {one.name: one.reason for one in load(folder).set_aside}


def test_photos_are_found_in_natural_order_with_subfolders_and_sizes(tmp_path):
    sizes = {"IMG10.JPG": (60, 40), "img2.jpg": (40, 60), "b/1.png": (50, 50), "b/c/x.WebP": (64, 32)}
    for i, (name, size) in enumerate(sizes.items()):
        save_photo(tmp_path / name, *size, seed=i)
    capture = load(tmp_path)
    assert [photo.name for photo in capture.photos] == ["b/1.png", "b/c/x.WebP", "img2.jpg", "IMG10.JPG"]
    for photo in capture.photos:
        assert (photo.width, photo.height) == sizes[photo.name]
        assert photo.decode().rgb.shape == (photo.height, photo.width, 3)
    assert capture.layout == "folder of photos"
    assert capture.cameras is None and capture.points is None and capture.set_aside == []


def test_hidden_files_and_other_files_are_passed_over(tmp_path):
    save_photo(tmp_path / "a.jpg")
    for name in (".b.jpg", "._a.jpg", ".cache/c.jpg", "__MACOSX/d.jpg"):
        save_photo(tmp_path / name, seed=5)
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "Thumbs.db").write_bytes(b"\0" * 100)
    capture = load(tmp_path)
    assert [photo.name for photo in capture.photos] == ["a.jpg"] and capture.set_aside == []


@pytest.mark.parametrize("mark", [RUN_FILE, PLAN_FILE, RESULTS_FILE])
def test_what_was_made_from_the_photos_is_not_among_them(tmp_path, mark):
    save_photo(tmp_path / "a.jpg")
    save_photo(tmp_path / "more" / "b.jpg", seed=1)
    made = tmp_path / "more" / "of any name"
    for i, name in enumerate(("a.photo.png", "a.render.png", "deeper/c.png"), 2):
        save_photo(made / "renders" / name, seed=i)
    (made / mark).write_text("{}")
    assert [photo.name for photo in load(tmp_path).photos] == ["a.jpg", "more/b.jpg"]
    assert len(load(made).photos) == 3, "asked for by name, it is a folder as any other"


def test_a_folder_that_only_holds_images(tmp_path):
    save_photo(tmp_path / "images" / "a.jpg")
    save_photo(tmp_path / "images_4" / "a.jpg", 15, 10)
    assert [photo.name for photo in load(tmp_path).photos] == ["a.jpg"]


def test_photos_are_decoded_lazily_and_the_same_every_time(tmp_path):
    save_photo(tmp_path / "a.jpg")
    photo = load(tmp_path).photos[0]
    first, second = photo.decode().rgb, photo.decode().rgb
    np.testing.assert_array_equal(first, second)
    assert first is not second and first.flags.owndata


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
@pytest.mark.parametrize(("name", "options"), [
    ("bad.jpg", {}), ("bad.jpg", {"progressive": True}), ("bad.png", {}), ("bad.webp", {}), ("bad.tif", {}),
])  # fmt: skip
def test_files_that_were_cut_short_are_named(tmp_path, name, options, kept):
    rng = np.random.default_rng(0)
    save_photo(tmp_path / "good.jpg")
    noise = rng.integers(0, 256, (200, 300, 3)).astype(np.uint8)  # so that the pixels fill the file
    Image.fromarray(noise).save(tmp_path / name, **options)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * kept)])
    capture = load(tmp_path)
    assert [photo.name for photo in capture.photos] == ["good.jpg"]
    assert [one.name for one in capture.set_aside] == [name]


def test_reasons_for_setting_aside(tmp_path):
    save_photo(tmp_path / "good.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("this is no picture " * 10)
    Image.new("RGB", (1, 1), (9, 200, 9)).save(tmp_path / "one.png")
    save_photo(tmp_path / "thin.png", 300, 15)
    Image.new("RGB", (60, 40)).save(tmp_path / "black.jpg")
    Image.new("RGB", (60, 40), (9, 200, 9)).save(tmp_path / "green.png")
    dark = np.random.default_rng(0).integers(0, 9, (400, 600, 3)).astype(np.uint8)
    Image.fromarray(dark).save(tmp_path / "lenscap.png")
    assert reasons(tmp_path) == {
        "empty.jpg": "the file is empty (0 bytes)",
        "text.jpg": "not a picture, or its beginning is damaged",
        "one.png": "1×1 pixels are too few (at least 16 on a side)",
        "thin.png": "300×15 pixels are too few (at least 16 on a side)",
        "black.jpg": "it is black all over",
        "green.png": "it has one colour all over",
        "lenscap.png": "it is black all over",
    }


def test_a_night_photo_with_one_lamp_is_kept(tmp_path):
    rgb = np.zeros((400, 600, 3), np.uint8)
    rgb[100:140, 200:240] = 255
    Image.fromarray(rgb).save(tmp_path / "night.jpg")
    assert len(load(tmp_path)) == 1


def test_exact_copies_are_set_aside(tmp_path):
    save_photo(tmp_path / "a.jpg")
    shutil.copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    shutil.copy(tmp_path / "a.jpg", tmp_path / "a copy.jpg")
    save_photo(tmp_path / "c.jpg", seed=1)
    capture = load(tmp_path)
    assert [photo.name for photo in capture.photos] == ["a copy.jpg", "c.jpg"]
    assert {one.name: one.reason for one in capture.set_aside} == {
        "a.jpg": "same picture as a copy.jpg", "b.jpg": "same picture as a copy.jpg",
    }  # fmt: skip


def test_names_that_are_no_text(tmp_path):
    save_photo(tmp_path / "good.jpg")
    try:
        shutil.copy(tmp_path / "good.jpg", bytes(tmp_path) + b"/b\xff.jpg")
    except OSError:
        pytest.skip("this file system only takes Unicode names")
    (aside,) = load(tmp_path).set_aside
    assert "rename the file" in aside.reason
    aside.name.encode()  # can be printed and stored


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match=r"no photo in it \(looked for .*\.jpg"):
        load(tmp_path)


def test_a_folder_without_a_usable_photo_says_why(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.jpg").touch()
    with pytest.raises(InputError, match=r"0\.jpg: the file is empty.*and 2 more"):
        load(tmp_path)


@given(st.lists(st.text("ab0129.", min_size=1, max_size=6), max_size=8))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_natural_order_is_an_order(tmp_path_factory, stems):
    folder = tmp_path_factory.mktemp("names")
    names = {f"x{stem}.png" for stem in stems}
    for name in names:
        (folder / name).touch()
    found = find_photos(folder)
    assert sorted(found) == sorted(names)
    assert found == find_photos(folder)


class TestMasks:
    """Masks beside the photos, in them, and in their alpha channel."""

    half = np.repeat([[0] * 30 + [255] * 30], 40, 0).astype(np.uint8)  # [40, 60]

    def check(self, folder: Path, name: str = "a.jpg") -> None:
        photo = next(p for p in load(folder).photos if p.name == name)
        mask = photo.decode().mask
        assert mask is not None and mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, self.half)

    @pytest.mark.parametrize("name", ["a.png", "a.jpg.png", "A.PNG", "a.tif"])
    @pytest.mark.parametrize("where", ["photos/masks", "masks"])
    def test_names_and_places(self, tmp_path, name, where):
        save_photo(tmp_path / "photos" / "a.jpg")
        save_photo(tmp_path / "photos" / "unmasked.jpg", seed=1)
        (tmp_path / where).mkdir()
        Image.fromarray(self.half).save(tmp_path / where / name)
        self.check(tmp_path / "photos")
        capture = load(tmp_path / "photos")
        assert capture.layout == "folder of photos, 1 with masks"
        assert capture.photos[1].decode().mask is None

    def test_the_folder_may_be_the_working_directory(self, tmp_path, monkeypatch):
        save_photo(tmp_path / "photos" / "a.jpg")
        (tmp_path / "masks").mkdir()
        Image.fromarray(self.half).save(tmp_path / "masks" / "a.png")
        monkeypatch.chdir(tmp_path / "photos")
        self.check(Path())

    def test_the_folder_may_be_spelt_otherwise(self, tmp_path):
        save_photo(tmp_path / "a.jpg")
        (tmp_path / "Masks").mkdir()
        Image.fromarray(self.half).save(tmp_path / "Masks" / "a.png")
        self.check(tmp_path)

    def test_subfolders(self, tmp_path):
        save_photo(tmp_path / "images" / "s" / "a.jpg")
        (tmp_path / "masks" / "s").mkdir(parents=True)
        Image.fromarray(self.half).save(tmp_path / "masks" / "s" / "a.png")
        self.check(tmp_path, "s/a.jpg")

    @pytest.mark.parametrize("kind", ["zero-one", "rgb", "alpha", "16 bit", "palette"])
    def test_ways_to_store_them(self, tmp_path, kind):
        save_photo(tmp_path / "a.jpg")
        (tmp_path / "masks").mkdir()
        white = np.full((40, 60), 255, np.uint8)
        picture = {
            "zero-one": Image.fromarray(self.half // 255),
            "rgb": Image.fromarray(np.dstack([self.half] * 3)),
            "alpha": Image.fromarray(np.dstack([white, white, white, self.half])),
            "16 bit": Image.fromarray(self.half.astype(np.uint16) * 257),
            "palette": Image.fromarray(np.dstack([self.half] * 3)).quantize(2),
        }[kind]
        picture.save(tmp_path / "masks" / "a.png")
        self.check(tmp_path)

    def test_another_size_of_the_same_shape_is_resized(self, tmp_path):
        save_photo(tmp_path / "a.jpg")
        (tmp_path / "masks").mkdir()
        for scale in (0.5, 3):
            size = int(60 * scale), int(40 * scale)
            Image.fromarray(self.half).resize(size, Image.Resampling.NEAREST).save(tmp_path / "masks/a.png")
            self.check(tmp_path)

    def test_another_shape_is_set_aside(self, tmp_path):
        save_photo(tmp_path / "a.jpg")
        save_photo(tmp_path / "b.jpg", seed=1)
        (tmp_path / "masks").mkdir()
        Image.fromarray(self.half.T).save(tmp_path / "masks" / "a.png")
        (aside,) = load(tmp_path).set_aside
        assert aside.name == "a.jpg"
        assert "masks/a.png: it is 40×60 pixels, the photo 60×40" in aside.reason

    def test_a_mask_that_keeps_nothing_or_cannot_be_read(self, tmp_path):
        for i, name in enumerate("abc"):
            save_photo(tmp_path / f"{name}.jpg", seed=i)
        (tmp_path / "masks").mkdir()
        Image.new("L", (60, 40)).save(tmp_path / "masks" / "a.png")
        (tmp_path / "masks" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
        found = reasons(tmp_path)
        assert "keeps no pixel" in found["a.jpg"] and "masks/b.png" in found["b.jpg"]

    def test_alpha_and_mask_both_count(self, tmp_path):
        alpha = np.zeros((40, 60), np.uint8)
        alpha[:20] = 255
        Image.fromarray(np.dstack([texture(60, 40), alpha])).save(tmp_path / "a.png")
        (tmp_path / "masks").mkdir()
        Image.fromarray(self.half).save(tmp_path / "masks" / "a.png")
        mask = load(tmp_path).photos[0].decode().mask
        np.testing.assert_array_equal(mask, np.minimum(alpha, self.half))

    def test_a_folder_that_is_called_masks_does_not_mask_itself(self, tmp_path):
        save_photo(tmp_path / "masks" / "a.jpg")
        assert load(tmp_path / "masks").photos[0].decode().mask is None
