"""Orientation, focal length and lens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from firstlight.capture import load
from tests.capture.made import save_photo, texture
from tests.photo_sets import photo_set

# How a camera stores an upright picture under each EXIF orientation.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


def exif(orientation: int | None = None, **tags: Any) -> Image.Exif:
    data = Image.Exif()
    if orientation is not None:
        data[0x0112] = orientation
    if "make" in tags:
        data[0x010F], data[0x0110] = tags["make"], tags["model"]
    names = {
        "focal": 0x920A, "equivalent": 0xA405, "density": 0xA20E, "unit": 0xA210,
        "width": 0xA002, "height": 0xA003,
    }  # fmt: skip
    for name, tag in names.items():
        if name in tags:
            data.get_ifd(0x8769)[tag] = tags[name]
    return data


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "heic"])
def test_orientation_is_applied(tmp_path, orientation, ending):
    upright = texture(640, 480)
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    tags = exif(orientation)
    if ending == "heic":  # has a transformation of its own, which phones write as well
        heif = pytest.importorskip("pillow_heif").from_pillow(stored)
        heif.save(tmp_path / "a.heic", exif=tags.tobytes(), quality=95)
    else:
        stored.save(tmp_path / f"a.{ending}", exif=tags, quality=95)
    photo = load(tmp_path).photos[0]
    assert (photo.width, photo.height) == (640, 480)
    assert np.abs(photo.decode().rgb.astype(int) - upright).mean() < 4


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_orientations_that_do_not_exist(tmp_path, orientation):
    rgb = save_photo(tmp_path / "a.png", exif=exif(orientation))
    np.testing.assert_array_equal(load(tmp_path).photos[0].decode().rgb, rgb)


def focal(tmp_path: Path, **tags: Any) -> float | None:
    save_photo(tmp_path / "a.jpg", 600, 400, exif=exif(**tags))
    return load(tmp_path).photos[0].focal


def test_focal_from_35_mm_equivalent(tmp_path):
    assert focal(tmp_path, equivalent=36) == pytest.approx(600)  # as wide as the film is


def test_focal_of_a_turned_photo_is_the_same(tmp_path):
    assert focal(tmp_path, equivalent=36, orientation=6) == pytest.approx(600)
    photo = load(tmp_path).photos[0]
    assert (photo.width, photo.height) == (400, 600)


def test_focal_from_the_sensor(tmp_path):
    # 24 mm wide sensor, 6000 pixels: 250 a mm; the picture was shrunk to a tenth.
    tags = {"focal": IFDRational(30), "density": IFDRational(6350), "unit": 2, "width": 6000}
    assert focal(tmp_path, **tags) == pytest.approx(30 / 24 * 600)
    tags |= {"density": IFDRational(2500), "unit": 3}
    assert focal(tmp_path, **tags) == pytest.approx(30 / 24 * 600)


@pytest.mark.parametrize("more", [{}, {"height": 4000}])
@pytest.mark.parametrize("orientation", STORED)
def test_focal_from_the_sensor_of_a_turned_photo_is_the_same(tmp_path, orientation, more):
    tags = {"focal": IFDRational(32), "density": IFDRational(6350), "unit": 2, "width": 6000} | more
    assert focal(tmp_path, orientation=orientation, **tags) == pytest.approx(32 / 24 * 600)


def test_focal_of_a_format_that_turns_itself(tmp_path):
    heif = pytest.importorskip("pillow_heif").from_pillow(Image.fromarray(texture(600, 400)))
    tags = {"focal": IFDRational(32), "density": IFDRational(6350), "unit": 2, "width": 6000, "height": 4000}
    heif.save(tmp_path / "a.heic", exif=exif(6, **tags).tobytes())
    photo = load(tmp_path).photos[0]
    assert (photo.width, photo.height) == (400, 600)
    assert photo.focal == pytest.approx(32 / 24 * 600)


@pytest.mark.parametrize("tags", [
    {}, {"equivalent": 0}, {"focal": IFDRational(30)}, {"equivalent": 60000},
    {"focal": IFDRational(0, 0), "density": IFDRational(1, 1)},
    {"focal": IFDRational(30), "density": IFDRational(6350), "unit": 1},
])  # fmt: skip
def test_no_focal_rather_than_a_wrong_one(tmp_path, tags):
    assert focal(tmp_path, **tags) is None


def test_lens_key_tells_lenses_zooms_and_sizes_apart(tmp_path):
    same: dict[str, Any] = {"make": "Canon\0\0", "model": "Canon EOS 600D  ", "focal": IFDRational(46)}
    save_photo(tmp_path / "a.jpg", exif=exif(**same))
    save_photo(tmp_path / "b.jpg", seed=1, exif=exif(**same))
    save_photo(tmp_path / "c.jpg", seed=2, exif=exif(**(same | {"focal": IFDRational(18)})))
    save_photo(tmp_path / "d.jpg", 40, 60, exif=exif(**same))
    save_photo(tmp_path / "e.jpg", seed=3)
    a, b, c, d, e = (photo.lens for photo in load(tmp_path).photos)
    assert a == b == "Canon Canon EOS 600D 46 mm 60×40"
    assert len({a, c, d}) == 3 and e is None


def test_lens_key_tells_digital_zoom_apart(tmp_path):
    same: dict[str, Any] = {"make": "Apple", "model": "iPhone 11", "focal": IFDRational(425, 100)}
    for i, equivalent in enumerate([26, 26, 78, 0, 60000]):
        save_photo(tmp_path / f"{i}.jpg", seed=i, exif=exif(**same, equivalent=equivalent))
    a, b, zoomed, none, nonsense = (photo.lens for photo in load(tmp_path).photos)
    assert a == b == "Apple iPhone 11 4.25 mm (26 mm) 60×40" != zoomed
    assert none == nonsense == "Apple iPhone 11 4.25 mm 60×40"


@pytest.mark.photos
@pytest.mark.parametrize("name", ["banana", "south-building"])
def test_focal_of_real_photos_is_near_the_one_that_sfm_found(name):
    folder = photo_set(name)
    given = load(folder / "images").photos[0].focal
    cameras = load(folder).cameras
    assert given is not None and cameras is not None
    assert given == pytest.approx(float(cameras.Ks[0, 0, 0]), rel=0.05)
