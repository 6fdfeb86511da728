"""COLMAP projects on disk: layouts, sizes, missing pictures, and model files that lie."""

from __future__ import annotations

import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from firstlight.capture import load
from firstlight.errors import InputError
from firstlight.scene import Capture
from tests.capture.made import Notes, reconstruction, save_photo, write_project
from tests.capture.test_colmap import project

NAMES = ["a.jpg", "b.jpg", "c.jpg"]


def worst_error(capture: Capture) -> float:
    """Of the tracks, in pixels, where the pictures have the model's size."""
    assert capture.cameras is not None and capture.points is not None
    made = reconstruction(NAMES)
    xyz = capture.points.xyz.numpy()
    worst = 0.0
    for row, photo in enumerate(capture.photos):
        image = made.find_image_with_name(photo.name)
        scale = np.array([photo.width / 60, photo.height / 40])
        seen = np.array([point.xy for point in image.points2D]) * scale
        worst = max(worst, float(np.abs(project(capture.cameras, row, xyz) - seen).max()))
    return worst


@pytest.mark.parametrize("text", [False, True])
def test_binary_and_text_with_rigs_and_frames(tmp_path, text):
    write_project(tmp_path, NAMES, text)
    assert (tmp_path / "sparse/0" / ("rigs.txt" if text else "rigs.bin")).is_file()
    capture = load(tmp_path)
    assert capture.layout == f"COLMAP project ({'text' if text else 'binary'} model sparse/0)"
    assert [photo.name for photo in capture.photos] == NAMES
    assert capture.points is not None and len(capture.points) == 12 and capture.set_aside == []
    assert worst_error(capture) < 1e-3


@pytest.mark.parametrize("text", [False, True])
def test_models_from_before_rigs(tmp_path, text):
    write_project(tmp_path, NAMES, text)
    for name in ("rigs", "frames"):
        (tmp_path / "sparse/0" / (name + (".txt" if text else ".bin"))).unlink()
    assert worst_error(load(tmp_path)) < 1e-3


@pytest.mark.parametrize("home", [".", "sparse", "sparse/0", "colmap/sparse/0"])
def test_places_where_models_lie(tmp_path, home):
    write_project(tmp_path, NAMES)
    model = tmp_path / "model"
    shutil.move(tmp_path / "sparse" / "0", model)
    shutil.rmtree(tmp_path / "sparse")
    (tmp_path / home).mkdir(parents=True, exist_ok=True)
    for file in model.iterdir():
        shutil.move(file, tmp_path / home)
    assert worst_error(load(tmp_path)) < 1e-3
    assert worst_error(load(tmp_path / home)) < 1e-3


def test_pictures_beside_the_model(tmp_path):
    write_project(tmp_path, NAMES)
    for name in NAMES:
        shutil.move(tmp_path / "images" / name, tmp_path / name)
    (tmp_path / "images").rmdir()
    assert len(load(tmp_path)) == 3


def test_the_images_folder_alone_is_a_folder_of_photos(tmp_path):
    write_project(tmp_path, NAMES)
    capture = load(tmp_path / "images")
    assert capture.layout == "folder of photos" and not capture.posed


def test_the_largest_of_several_models(tmp_path):
    write_project(tmp_path, NAMES)
    small = tmp_path / "sparse" / "1"
    small.mkdir()
    reconstruction(["a.jpg"]).write_binary(small)
    broken = tmp_path / "sparse" / "2"
    broken.mkdir()
    (broken / "cameras.bin").write_bytes(b"")
    notes = Notes()
    capture = load(tmp_path, progress=notes)
    assert len(capture) == 3
    assert [("sparse/2" in line, "sparse/1" in line) for line in notes.lines] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("scale", [0.5, 1.9])
def test_pictures_of_another_size_scale_the_cameras(tmp_path, scale):
    write_project(tmp_path, NAMES)
    for i, name in enumerate(NAMES):
        save_photo(tmp_path / "images" / name, round(60 * scale), round(40 * scale), seed=i)
    capture = load(tmp_path)
    assert capture.cameras is not None
    assert capture.cameras.width.tolist() == [round(60 * scale)] * 3
    assert worst_error(capture) < 1e-2


def test_errors_of_points_are_in_pixels_of_the_pictures(tmp_path):
    made = write_project(tmp_path, NAMES)
    for number in made.point3D_ids():
        made.point3D(number).error = 2.0
    made.write_binary(tmp_path / "sparse/0")
    for i, name in enumerate(NAMES):
        save_photo(tmp_path / "images" / name, 30, 20, seed=i)
    points = load(tmp_path).points
    assert points is not None and points.error.tolist() == [1.0] * 12


@pytest.mark.parametrize("place", [(500123.4, 4649776.2, 120.5), (4027893.6, 307045.9, 4919474.8)])
@pytest.mark.parametrize("size", [1.0, 40.0])
def test_coordinates_of_the_earth_get_an_origin_near_the_cameras(tmp_path, place, size):
    made = write_project(tmp_path, NAMES)
    made.transform(pycolmap.Sim3d(size, pycolmap.Rotation3d(), np.array(place)))
    made.write_binary(tmp_path / "sparse/0")
    said = Notes()
    capture = load(tmp_path, progress=said)
    assert worst_error(capture) < 1e-3
    (note,) = said.lines
    origin = [float(number) for number in re.findall(r"at \((.*), (.*), (.*)\)", note)[0]]
    assert note.startswith(str(tmp_path / "sparse/0")) and np.allclose(origin, place, rtol=0, atol=2 * size)
    assert capture.points is not None
    known = [made.point3D(number).xyz for number in sorted(made.point3D_ids())]
    np.testing.assert_allclose(capture.points.xyz.numpy() + origin, known, rtol=0, atol=1e-7)


def test_usual_coordinates_stay_as_they_are(tmp_path):
    made = write_project(tmp_path, NAMES)
    made.transform(pycolmap.Sim3d(1.0, pycolmap.Rotation3d(), np.array([300.0, 0, 0])))
    made.write_binary(tmp_path / "sparse/0")
    said = Notes()
    capture = load(tmp_path, progress=said)
    assert said.lines == [] and capture.cameras is not None and capture.points is not None
    poses = [made.find_image_with_name(name).cam_from_world().matrix() for name in NAMES]
    np.testing.assert_array_equal(capture.cameras.viewmats[:, :3].numpy(), np.array(poses, np.float32))
    known = [made.point3D(number).xyz for number in sorted(made.point3D_ids())]
    np.testing.assert_array_equal(capture.points.xyz.numpy(), known)


def test_a_picture_of_another_shape_is_set_aside(tmp_path):
    write_project(tmp_path, NAMES)
    save_photo(tmp_path / "images" / "b.jpg", 50, 50)
    (aside,) = load(tmp_path).set_aside
    assert aside.name == "b.jpg" and "50×50 pixels, but its camera is for 60×40" in aside.reason


@pytest.mark.parametrize("size", [(60, 40), (40, 60)])
def test_exif_orientation_counts_only_where_the_camera_was_made_for_it(tmp_path, size):
    """COLMAP reads pixels as stored: a phone's portrait photo may have a landscape camera."""
    write_project(tmp_path, NAMES, size=size)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 60 × 40, to be shown 40 × 60
    for i, name in enumerate(NAMES):
        save_photo(tmp_path / "images" / name, 60, 40, seed=i, exif=exif)
    photo = load(tmp_path).photos[0]
    assert (photo.width, photo.height) == size
    assert photo.decode().rgb.shape == (size[1], size[0], 3)


def test_missing_and_damaged_pictures_are_set_aside(tmp_path):
    write_project(tmp_path, NAMES)
    (tmp_path / "images" / "b.jpg").unlink()
    whole = (tmp_path / "images" / "c.jpg").read_bytes()
    (tmp_path / "images" / "c.jpg").write_bytes(whole[: len(whole) // 2])
    capture = load(tmp_path)
    assert [photo.name for photo in capture.photos] == ["a.jpg"]
    assert capture.cameras is not None and len(capture.cameras) == 1
    reasons = {one.name: one.reason for one in capture.set_aside}
    assert "there is no file" in reasons["b.jpg"] and "cut short" in reasons["c.jpg"]


def test_no_picture_at_all(tmp_path):
    write_project(tmp_path, NAMES)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(InputError, match=r"none of the 3 pictures of the model \(a\.jpg"):
        load(tmp_path)


def test_masks_of_a_project(tmp_path):
    write_project(tmp_path, NAMES)
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 20:] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "b.jpg.png")
    photos = load(tmp_path).photos
    np.testing.assert_array_equal(photos[1].decode().mask, mask)
    assert photos[0].decode().mask is None


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/secret.jpg", "C:\\secret.jpg", "x/../../secret.jpg"])
def test_names_that_lead_out_of_the_project(tmp_path, name):
    save_photo(tmp_path / "secret.jpg")
    folder = tmp_path / "project"
    write_project(folder, NAMES)
    reconstruction([*NAMES, name]).write_binary(folder / "sparse" / "0")
    with pytest.raises(InputError, match="not inside"):
        load(folder)


def test_names_that_stay_inside_on_a_detour(tmp_path):
    write_project(tmp_path, ["a.jpg"])
    reconstruction(["./x/../a.jpg"]).write_binary(tmp_path / "sparse" / "0")
    assert len(load(tmp_path)) == 1


def test_poses_that_are_not_finite_are_set_aside(tmp_path):
    write_project(tmp_path, NAMES)
    for file, offset in (("frames.bin", 16), ("images.bin", 12)):
        with (tmp_path / "sparse/0" / file).open("r+b") as data:
            data.seek(offset)
            data.write(struct.pack("<d", float("nan")))
    capture = load(tmp_path)
    assert len(capture) == 2
    assert capture.set_aside[0].reason == "its pose in the model is no rotation and position"


def patched(tmp_path: Path, file: str, offset: int, data: bytes) -> Path:
    write_project(tmp_path, NAMES)
    with (tmp_path / "sparse/0" / file).open("r+b") as handle:
        handle.seek(offset)
        handle.write(data)
    return tmp_path


@pytest.mark.parametrize("file", ["cameras.bin", "images.bin", "points3D.bin", "rigs.bin", "frames.bin"])
def test_counts_that_lie(tmp_path, file):
    with pytest.raises(InputError, match=rf"{file}: its header promises 1000000000000 entries"):
        load(patched(tmp_path, file, 0, struct.pack("<Q", 10**12)))


@pytest.mark.parametrize(("file", "offset", "data"), [
    ("points3D.bin", 51, struct.pack("<Q", 10**11)),  # length of a track
    ("frames.bin", 72, struct.pack("<I", 4 * 10**9)),  # pictures of a frame
    ("rigs.bin", 12, struct.pack("<I", 4 * 10**9)),  # sensors of a rig
    ("cameras.bin", 12, struct.pack("<i", 99)),  # camera model
])  # fmt: skip
def test_counts_inside_that_lie(tmp_path, file, offset, data):
    with pytest.raises(InputError, match=file):
        load(patched(tmp_path, file, offset, data))


@pytest.mark.parametrize("file", ["cameras.bin", "images.bin", "points3D.bin", "rigs.bin", "frames.bin"])
@pytest.mark.parametrize("kept", [0, 7, 0.5, -1])
def test_files_that_were_cut_short(tmp_path, file, kept):
    write_project(tmp_path, NAMES)
    path = tmp_path / "sparse/0" / file
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(InputError, match=file):
        load(tmp_path)


def test_a_file_with_more_than_its_header_tells(tmp_path):
    write_project(tmp_path, NAMES)
    with (tmp_path / "sparse/0/points3D.bin").open("ab") as file:
        file.write(b"x" * 60)
    with pytest.raises(InputError, match=r"points3D\.bin: it has 60 bytes more"):
        load(tmp_path)


def test_models_of_which_a_file_is_missing(tmp_path):
    write_project(tmp_path, NAMES)
    (tmp_path / "sparse/0/points3D.bin").unlink()
    with pytest.raises(InputError, match=r"needs cameras, images and points3D.*found cameras\.bin"):
        load(tmp_path)


@pytest.mark.parametrize(("file", "find", "put"), [
    ("cameras.txt", "PINHOLE", "TELESCOPE"),
    ("cameras.txt", " 50 ", " wide "),
    ("images.txt", "1 a.jpg", "9 a.jpg"),
    ("frames.txt", " 1 CAMERA", " 4000000000 CAMERA"),
    ("rigs.txt", "1 1 CAMERA", "1 4000000000 CAMERA"),
])  # fmt: skip
def test_text_models_that_lie(tmp_path, file, find, put):
    write_project(tmp_path, NAMES, text=True)
    path = tmp_path / "sparse/0" / file
    changed = path.read_text().replace(find, put)
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(InputError, match="sparse/0"):
        load(tmp_path)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    folders = {text: tmp_path_factory.mktemp("text" if text else "binary") for text in (False, True)}
    for text, folder in folders.items():
        write_project(folder, NAMES, text, points=4)
    return folders


FILES = ("cameras", "images", "points3D", "rigs", "frames")


@given(
    text=st.booleans(), file=st.sampled_from(FILES), place=st.floats(0, 1), junk=st.binary(max_size=9),
    cut=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_models_are_read_or_refused(fuzzed, text, file, place, junk, cut):
    """Whatever bytes stand there: a capture, or an InputError."""
    path = fuzzed[text] / "sparse/0" / (file + (".txt" if text else ".bin"))
    whole = path.read_bytes()
    at = int(place * len(whole))
    try:
        path.write_bytes(whole[:at] + junk + (b"" if cut else whole[at + len(junk) :]))
        capture = load(fuzzed[text])
    except InputError as error:
        assert str(fuzzed[text]) in str(error) or "Camera" in str(error)
    else:
        assert capture.cameras is not None and len(capture.cameras) == len(capture) > 0
        assert np.isfinite(capture.cameras.viewmats.numpy()).all()
        assert np.isfinite(capture.cameras.Ks.numpy()).all()
    finally:
        path.write_bytes(whole)
