"""The one door: what is recognised as what."""

from __future__ import annotations

import pytest

from firstlight.capture import load
from firstlight.errors import InputError
from tests.capture.made import save_photo, write_project
from tests.capture.test_transforms import write as write_transforms


def test_demo():
    capture = load("demo")
    assert len(capture) == 24 and not capture.posed


def test_a_folder_called_demo_needs_a_dot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_photo(tmp_path / "demo" / "mine.jpg")
    assert [photo.name for photo in load("./demo").photos] == ["mine.jpg"]


def test_cameras_with_points_come_before_cameras(tmp_path):
    names = ["0.jpg", "1.jpg"]
    write_transforms(tmp_path)
    assert load(tmp_path).layout.startswith("nerfstudio")
    write_project(tmp_path, names)
    assert load(tmp_path).layout.startswith("COLMAP")
    assert load(str(tmp_path / "transforms.json")).layout.startswith("nerfstudio")
    assert load(tmp_path / "images").layout == "folder of photos"


def test_what_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="there is no such file or folder"):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000])
def test_paths_that_cannot_exist(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        load(path)


def test_one_photo(tmp_path):
    save_photo(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="one photo is not enough"):
        load(tmp_path / "a.jpg")


def test_some_other_file(tmp_path):
    (tmp_path / "scene.blend").write_bytes(b"BLENDER")
    with pytest.raises(InputError, match="not a kind of file that holds photos"):
        load(tmp_path / "scene.blend")


def test_a_folder_that_holds_a_video(tmp_path):
    (tmp_path / "clip.MP4").write_bytes(b"")
    with pytest.raises(InputError, match=r"but the video clip\.MP4"):
        load(tmp_path)
