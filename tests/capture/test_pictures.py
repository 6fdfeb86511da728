"""Every kind of picture file as 8-bit sRGB."""

from __future__ import annotations

import io
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from firstlight.capture import load
from firstlight.capture._picture import MAX_PIXELS, UnusableError, decode, opened, pixels
from firstlight.errors import InputError
from tests.capture.made import Pixels, save_photo, texture


def read(path: Path) -> Pixels:
    with opened(path) as image:
        return pixels(image)[0]


@pytest.mark.parametrize("ending", ["png", "PNG", "tif", "TIFF", "webp"])
def test_lossless_formats_keep_every_pixel(tmp_path, ending):
    rgb = save_photo(tmp_path / f"a.{ending}", lossless=True)  # only WebP knows the option
    np.testing.assert_array_equal(load(tmp_path).photos[0].decode().rgb, rgb)


@pytest.mark.parametrize("ending", ["jpg", "JPG", "jpeg"])
def test_jpeg_is_close(tmp_path, ending):
    rgb = save_photo(tmp_path / f"a.{ending}", quality=98, subsampling=0)
    found = load(tmp_path).photos[0].decode().rgb
    assert np.abs(found.astype(int) - rgb).max() <= 8


def test_heic_through_the_extra(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    rgb = texture(320, 240)
    heif.from_pillow(Image.fromarray(rgb)).save(tmp_path / "a.HEIC", quality=95)
    capture = load(tmp_path)
    assert (capture.photos[0].width, capture.photos[0].height) == (320, 240)
    assert np.abs(capture.photos[0].decode().rgb.astype(int) - rgb).mean() < 4


def test_heic_that_is_called_jpg_is_read_whatever_was_opened_before(tmp_path, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    from firstlight.capture._picture import _enable_heic

    _enable_heic.cache_clear()
    heif.from_pillow(Image.fromarray(texture(320, 240))).save(tmp_path / "a.heic")
    (tmp_path / "a.heic").rename(tmp_path / "a.jpg")
    assert load(tmp_path).photos[0].width == 320


@pytest.mark.parametrize("name", ["a.heic", "a.jpg"])
def test_heic_without_the_extra_says_what_to_install(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic and more")
    from firstlight.capture._picture import _enable_heic

    _enable_heic.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'firstlight\[heic\]'"):
        load(tmp_path)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_colour_keeps_the_high_byte(tmp_path, ending):
    deep = texture(60, 40).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / f"a.{ending}"), deep[..., ::-1])
    np.testing.assert_array_equal(load(tmp_path).photos[0].decode().rgb, texture(60, 40))


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_gray_is_scaled_not_clipped(tmp_path, ending):
    gray = texture(60, 40)[..., 0]
    cv2.imwrite(str(tmp_path / f"a.{ending}"), gray.astype(np.uint16) * 257)
    expected = np.repeat(gray[..., None], 3, -1)
    np.testing.assert_array_equal(load(tmp_path).photos[0].decode().rgb, expected)


def test_gray_palette_and_bilevel(tmp_path):
    gray = Image.fromarray(texture(60, 40)[..., 0])
    gray.save(tmp_path / "gray.png")
    palette = Image.fromarray(texture(60, 40)).quantize(32)
    palette.save(tmp_path / "palette.png")
    gray.convert("1").save(tmp_path / "two.png")
    np.testing.assert_array_equal(read(tmp_path / "gray.png")[..., 1], np.asarray(gray))
    np.testing.assert_array_equal(read(tmp_path / "palette.png"), np.asarray(palette.convert("RGB")))
    assert set(np.unique(read(tmp_path / "two.png"))) == {0, 255}
    assert len(load(tmp_path)) == 3


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_cmyk_has_the_right_colours(tmp_path, ending):
    rgb = texture(60, 40)
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / f"a.{ending}", quality=98)
    found = load(tmp_path).photos[0].decode().rgb
    assert np.abs(found.astype(int) - rgb).mean() < 4


def display_p3() -> bytes:
    """A minimal matrix profile with Display P3's primaries and gamma 2.2, put together by hand."""

    def s15(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(s15, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"Wide\0" + bytes(11 + 67)
    text += bytes(-len(text) % 4)
    tags = {
        b"desc": text,
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.5151, 0.2412, -0.0011),
        b"gXYZ": xyz(0.2920, 0.6922, 0.0419),
        b"bXYZ": xyz(0.1571, 0.0666, 0.7841),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", offset + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + s15(0.9642) + s15(1.0) + s15(0.8249)
    return header.ljust(128, b"\0") + table + body


def test_wide_colours_are_converted_to_srgb(tmp_path):
    """Green of Display P3 lies outside sRGB; a medium one becomes more saturated when converted."""
    rgb = np.full((40, 60, 3), (90, 150, 90), np.uint8)
    rgb[:, :20] = 128
    Image.fromarray(rgb).save(tmp_path / "a.png", icc_profile=display_p3())
    found = load(tmp_path).photos[0].decode().rgb[20, 40].astype(int)
    # By hand: linear P3 → XYZ (D50) → linear sRGB (Bradford D50 matrix) → sRGB curve.
    linear = (np.array([90, 150, 90]) / 255) ** 2.2
    xyz = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]]) @ linear
    to_srgb = np.array([[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]])
    value = to_srgb @ xyz
    expected = 255 * np.where(value > 0.0031308, 1.055 * value ** (1 / 2.4) - 0.055, 12.92 * value)
    assert np.abs(found - expected).max() <= 2
    assert found[0] < 80  # far enough from the plain 90 that doing nothing fails


def test_an_srgb_profile_changes_nothing_and_a_broken_one_does_no_harm(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgb = save_photo(tmp_path / "a.png", icc_profile=profile)
    other = save_photo(tmp_path / "b.png", seed=1, icc_profile=b"no profile at all" * 20)
    first, second = load(tmp_path).photos
    np.testing.assert_array_equal(first.decode().rgb, rgb)
    np.testing.assert_array_equal(second.decode().rgb, other)


def test_floating_point_pictures_are_set_aside(tmp_path):
    save_photo(tmp_path / "a.png")
    Image.fromarray(texture(60, 40)[..., 0].astype(np.float32)).save(tmp_path / "b.tif")
    (aside,) = load(tmp_path).set_aside
    assert aside.name == "b.tif" and "8 or 16 bits" in aside.reason


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_becomes_the_mask(tmp_path, mode):
    rgba = np.dstack([texture(60, 40), np.zeros((40, 60), np.uint8)])
    rgba[:, 30:, 3] = 255
    picture = Image.fromarray(rgba)
    (picture.quantize(64) if mode == "P" else picture.convert(mode)).save(tmp_path / "a.png")
    mask = load(tmp_path).photos[0].decode().mask
    assert mask is not None and mask.shape == (40, 60)
    assert (mask[:, 30:] == 255).all() and (mask[:, :30] == 0).all()


def test_opaque_alpha_is_no_mask_and_full_transparency_no_photo(tmp_path):
    Image.fromarray(np.dstack([texture(60, 40), np.full((40, 60), 255, np.uint8)])).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([texture(60, 40), np.zeros((40, 60), np.uint8)])).save(tmp_path / "b.png")
    capture = load(tmp_path)
    assert capture.photos[0].decode().mask is None
    assert [(one.name, one.reason) for one in capture.set_aside] == [
        ("b.png", "every pixel of it is transparent")
    ]


def test_strips_are_no_photos(tmp_path):
    save_photo(tmp_path / "a.png")
    Image.fromarray(texture(340, 20)).save(tmp_path / "b.png")
    Image.fromarray(texture(20, 300)).save(tmp_path / "c.png")
    capture = load(tmp_path)
    assert [photo.name for photo in capture.photos] == ["a.png", "c.png"]
    assert "340×20 pixels are a strip" in capture.set_aside[0].reason


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kB that says it has width × height pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )  # fmt: skip


@pytest.mark.parametrize("side", [int(MAX_PIXELS**0.5) + 1, 60_000, 2**31 - 1])
def test_decompression_bombs_are_refused_before_decoding(tmp_path, side):
    (tmp_path / "a.png").write_bytes(bomb(side, side))
    with pytest.raises(InputError, match=r"a\.png.*110 million"):
        load(tmp_path)


def test_other_formats_are_not_decoded_whatever_they_are_called(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(texture(60, 40)).save(buffer, "GIF")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    with pytest.raises(UnusableError, match="not a picture"):
        read(tmp_path / "a.png")


def test_the_content_counts_not_the_ending(tmp_path):
    rgb = save_photo(tmp_path / "a.jpg", format="PNG")
    np.testing.assert_array_equal(load(tmp_path).photos[0].decode().rgb, rgb)


def test_pillows_warnings_stay_inside(tmp_path):
    """A header with broken EXIF makes Pillow warn; threads must not let that out or disturb filters."""
    path = tmp_path / "a.tif"
    save_photo(path)
    data = bytearray(path.read_bytes())
    path.write_bytes(data + b"II*\0")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0" + b"\x01\x01\x04\0\xff\xff\xff\xff\xff\xff\xff\xff" * 2
    save_photo(tmp_path / "b.jpg", exif=exif)
    before = list(warnings.filters)
    threads = [threading.Thread(target=load, args=(tmp_path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load(tmp_path)) == 2
    assert warnings.filters == before


def test_decoding_a_file_that_changed_names_it(tmp_path):
    save_photo(tmp_path / "a.png")
    photo = load(tmp_path).photos[0]
    save_photo(tmp_path / "a.png", 61, 40)
    with pytest.raises(InputError, match=r"a\.png: its size changed"):
        photo.decode()
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png: cannot be read: No such file"):
        photo.decode()


def test_laid_on_a_background(tmp_path):
    rgba = np.zeros((40, 60, 4), np.uint8)
    rgba[..., 0], rgba[:20, :, 3], rgba[20:, :, 3] = 200, 255, 51
    Image.fromarray(rgba).save(tmp_path / "a.png")
    rgb, mask = decode(tmp_path / "a.png", True, (60, 40), None, (1.0, 1.0, 1.0))
    assert mask is None
    assert rgb[0, 0].tolist() == [200, 0, 0]
    assert rgb[30, 0].tolist() == [244, 204, 204]  # a fifth of the colour on four fifths of white


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small file of every format, with EXIF and a colour profile."""
    folder = tmp_path_factory.mktemp("pictures")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif.get_ifd(0x8769)[0xA405] = 28
    for name in ("a.jpg", "a.png", "a.tif", "a.webp"):
        save_photo(folder / name, exif=exif, icc_profile=display_p3())
    save_photo(folder / "progressive.jpg", exif=exif, progressive=True)
    save_photo(folder / "packed.tif", compression="tiff_lzw")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(
    name=st.sampled_from(["a.jpg", "a.png", "a.tif", "a.webp", "progressive.jpg", "packed.tif"]),
    place=st.floats(0, 1), junk=st.binary(min_size=1, max_size=8), cut=st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_pictures_are_used_or_set_aside(pictures, tmp_path_factory, name, place, junk, cut):
    """What can be used when the photos are looked through can be decoded afterwards; nothing warns."""
    path = tmp_path_factory.mktemp("damaged") / name
    whole = pictures[name]
    at = int(place * len(whole))
    path.write_bytes(whole[:at] + junk + (b"" if cut else whole[at + len(junk) :]))
    try:
        (photo,) = load(path.parent).photos
    except InputError as error:
        assert name in str(error)
    else:
        assert photo.decode().rgb.shape == (photo.height, photo.width, 3)
