"""Which pictures are taken for panoramas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstlight.capture import load
from tests.capture.made import Pixels, save_photo, texture
from tests.photo_sets import photo_set


def sphere(width: int = 1024, seed: int = 0) -> Pixels:
    """What a panorama of coloured waves looks like: a smooth function of the direction."""
    rng = np.random.default_rng(seed)
    longitude = (np.arange(width) + 0.5) / width * 2 * np.pi
    latitude = (0.5 - (np.arange(width // 2) + 0.5) / (width // 2)) * np.pi
    directions = np.stack(
        [
            np.cos(latitude)[:, None] * np.cos(longitude),
            np.cos(latitude)[:, None] * np.sin(longitude),
            np.repeat(np.sin(latitude)[:, None], width, 1),
        ],
        -1,
    )
    waves = sum(np.sin(directions @ rng.normal(size=(3, 3)) * 4 + rng.uniform(0, 6, 3)) for _ in range(4))
    return np.asarray(np.clip(127 + 40 * waves, 0, 255), np.uint8)


def is_panorama(tmp_path: Path, rgb: Pixels, **options: object) -> bool:
    Image.fromarray(rgb).save(tmp_path / "a.jpg", **options)  # type: ignore[arg-type]
    (photo,) = load(tmp_path).photos
    return photo.panorama


def gpano(full: int, cropped: int, element: bool = False) -> bytes:
    values = {
        "ProjectionType": "equirectangular", "FullPanoWidthPixels": full, "FullPanoHeightPixels": full // 2,
        "CroppedAreaImageWidthPixels": cropped, "CroppedAreaImageHeightPixels": full // 2,
    }  # fmt: skip
    if element:
        body = "".join(f"<GPano:{k}>{v}</GPano:{k}>" for k, v in values.items())
        return f"<x:xmpmeta><rdf:Description>{body}</rdf:Description></x:xmpmeta>".encode()
    body = " ".join(f'GPano:{k}="{v}"' for k, v in values.items())
    return f"<x:xmpmeta><rdf:Description {body}/></x:xmpmeta>".encode()


@pytest.mark.parametrize("element", [False, True])
def test_xmp_says_so(tmp_path, element):
    assert is_panorama(tmp_path, texture(300, 150), xmp=gpano(4000, 4000, element))


def test_xmp_of_a_part_is_set_aside(tmp_path):
    save_photo(tmp_path / "a.jpg")
    save_photo(tmp_path / "b.jpg", 300, 150, xmp=gpano(4000, 2000))
    (aside,) = load(tmp_path).set_aside
    assert aside.name == "b.jpg" and "part of the sphere" in aside.reason


def test_pixels_that_close(tmp_path):
    assert is_panorama(tmp_path, sphere())


def test_pictures_that_do_not(tmp_path):
    shot = sphere()
    wide = np.full_like(shot, 250)
    wide[150:350, 300:700] = texture(400, 200)
    for rgb in (
        texture(1024, 512),  # an ordinary wide photo
        shot[:, :1000],  # not exactly 2:1
        sphere(800),  # too small to be sure
        np.ascontiguousarray(shot[128:384].repeat(2, 0)),  # no poles
        np.ascontiguousarray(np.roll(shot, 300, 1)[:, :512].repeat(2, 1)),  # does not close
        wide,  # an object before a plain wall
    ):
        assert not is_panorama(tmp_path, np.ascontiguousarray(rgb))


def test_photos_of_one_size_decide_together(tmp_path):
    for i in range(3):
        Image.fromarray(sphere(seed=i)).save(tmp_path / f"{i}.jpg")
    save_photo(tmp_path / "3.jpg", 1024, 512, seed=3)
    save_photo(tmp_path / "other size.jpg", 600, 400, seed=4)
    assert [photo.panorama for photo in load(tmp_path).photos] == [True] * 4 + [False]


@pytest.mark.photos
@pytest.mark.parametrize("folder", ["images", "images_2016"])
def test_real_panoramas(folder):
    assert all(photo.panorama for photo in load(photo_set("pano-flat") / folder).photos)


@pytest.mark.photos
@pytest.mark.parametrize("name", ["kitchen", "kitti-lidar", "tankard"])
def test_ordinary_photos_cut_to_two_to_one(tmp_path, name):
    for path in sorted((photo_set(name) / "images").glob("*.jpg"))[:6]:
        with Image.open(path) as image:
            width, height = image.size
            top = max(0, (height - width // 2) // 2)
            image.crop((0, top, width, top + width // 2)).resize((1200, 600)).save(tmp_path / path.name)
    assert not any(photo.panorama for photo in load(tmp_path).photos)
