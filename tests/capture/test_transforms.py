"""transforms.json of nerfstudio, instant-ngp and Blender."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from plyfile import PlyData, PlyElement

from firstlight.capture import load
from firstlight.errors import InputError
from firstlight.scene import Capture
from tests.capture.made import Notes, random_rotation, save_photo, texture

Matrix = npt.NDArray[np.float64]


def pose(seed: int = 0) -> Matrix:
    """Some camera → world, OpenGL axes [4, 4]."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = random_rotation(rng), rng.normal(size=3)
    return matrix


def frame(name: str, seed: int = 0, **more: Any) -> dict[str, Any]:
    return {"file_path": name, "transform_matrix": pose(seed).tolist(), **more}


def write(folder: Path, name: str = "transforms.json", photos: int = 2, **meta: Any) -> Path:
    """A data set of ``photos`` pictures of 60 × 40; ``meta`` overrides what is in the file."""
    for i in range(photos):
        save_photo(folder / "images" / f"{i}.jpg", seed=i)
    frames = [frame(f"images/{i}.jpg", i) for i in range(photos)]
    base = {"fl_x": 50, "fl_y": 55, "cx": 29, "cy": 21, "w": 60, "h": 40, "frames": frames}
    path = folder / name
    path.write_text(json.dumps({k: v for k, v in (base | meta).items() if v is not None}))
    return path


def opengl_pixel(camera_to_world: Matrix, K: Matrix, xyz: Matrix) -> Matrix:
    """Where OpenGL's camera (looks along −z, y up) sees a point: the definition, nothing shared."""
    x, y, z = camera_to_world[:3, :3].T @ (xyz - camera_to_world[:3, 3])
    assert z < 0
    return np.array([K[0, 0] * x / -z + K[0, 2], K[1, 1] * -y / -z + K[1, 2]])


def in_front(camera_to_world: Matrix) -> Matrix:
    return camera_to_world[:3, 3] - 3 * camera_to_world[:3, 2] + 0.3 * camera_to_world[:3, 1]


def test_cameras_see_what_the_file_says(tmp_path):
    capture = load(write(tmp_path))
    assert capture.layout == "nerfstudio transforms.json"
    assert [photo.name for photo in capture.photos] == ["0.jpg", "1.jpg"]
    cameras = capture.cameras
    assert cameras is not None and cameras.model == "pinhole" and cameras.undistorted
    for i in range(2):
        xyz = in_front(pose(i))
        K = np.array([[50, 0, 29], [0, 55, 21], [0, 0, 1.0]])
        np.testing.assert_allclose(cameras.Ks[i].numpy(), K)
        u, v, w = cameras.Ks[i].double().numpy() @ (cameras.viewmats[i].double().numpy() @ [*xyz, 1])[:3]
        np.testing.assert_allclose([u / w, v / w], opengl_pixel(pose(i), K, xyz), atol=1e-4)


def moved(path: Path, by: Matrix) -> None:
    """Write other positions into a file of cameras."""
    meta = json.loads(path.read_text())
    for one in meta["frames"]:
        matrix = np.array(one["transform_matrix"])
        matrix[:3, 3] += by
        one["transform_matrix"] = matrix.tolist()
    path.write_text(json.dumps(meta))


UTM = np.array([500123.4, 4649776.2, 120.5])


def test_coordinates_of_the_earth_get_an_origin_near_the_cameras(tmp_path):
    K = np.array([[50, 0, 29], [0, 55, 21], [0, 0, 1.0]])
    seen = np.stack([in_front(pose(i)) for i in range(2)])
    rows = np.array([tuple(xyz) for xyz in seen + UTM], [(axis, "f8") for axis in "xyz"])
    PlyData([PlyElement.describe(rows, "vertex")]).write(str(tmp_path / "p.ply"))
    path = write(tmp_path, ply_file_path="p.ply")
    moved(path, UTM)
    said = Notes()
    capture = load(path, progress=said)
    assert capture.cameras is not None and capture.points is not None
    (note,) = said.lines
    assert note.startswith(str(path)) and "The origin is now at (" in note
    for i, xyz in enumerate(capture.points.xyz.numpy()):
        u, v, w = K @ (capture.cameras.viewmats[i].double().numpy() @ [*xyz, 1])[:3]
        np.testing.assert_allclose([u / w, v / w], opengl_pixel(pose(i), K, seen[i]), atol=1e-4)


def test_cameras_in_one_place_stay_there(tmp_path):
    frames = [frame(f"images/{i}.jpg", i) for i in range(2)]
    for one in frames:
        for row, value in zip(one["transform_matrix"], [3.1, 0.2, 7.7], strict=False):
            row[3] = value
    said = Notes()
    cameras = load(write(tmp_path, frames=frames), progress=said).cameras
    assert said.lines == [] and cameras is not None
    np.testing.assert_allclose(cameras.centers.numpy(), [[3.1, 0.2, 7.7]] * 2, rtol=1e-5)


def test_the_folder_will_do(tmp_path):
    write(tmp_path)
    assert load(tmp_path).layout == "nerfstudio transforms.json"


def test_settings_of_a_frame_come_before_those_of_the_file(tmp_path):
    frames = [frame("images/0.jpg"), frame("images/1.jpg", 1, fl_x=70, k1=0.1)]
    cameras = load(write(tmp_path, frames=frames)).cameras
    assert cameras is not None and cameras.distortion is not None
    assert cameras.Ks[:, 0, 0].tolist() == [50, 70]
    assert cameras.distortion[:, 0].tolist() == pytest.approx([0, 0.1])


def test_angles_instead_of_focal_lengths(tmp_path):
    angles: dict[str, Any] = {"camera_angle_x": 1.0, "fl_x": None, "fl_y": None, "cx": None, "cy": None}
    cameras = load(write(tmp_path, **angles)).cameras
    focal = 30 / math.tan(0.5)
    assert cameras is not None
    expected = np.array([[focal, 0, 30], [0, focal, 20], [0, 0, 1]])
    np.testing.assert_allclose(cameras.Ks[0].numpy(), expected, rtol=1e-6)
    cameras = load(write(tmp_path, camera_angle_y=0.5, **angles)).cameras
    assert cameras is not None
    assert float(cameras.Ks[0, 1, 1]) == pytest.approx(20 / math.tan(0.25))


def test_pictures_of_another_size_scale_the_camera(tmp_path):
    cameras = load(write(tmp_path, w=120, h=80, fl_x=100, fl_y=110, cx=58, cy=42)).cameras
    assert cameras is not None
    np.testing.assert_allclose(cameras.Ks[0].numpy(), [[50, 0, 29], [0, 55, 21], [0, 0, 1]])
    assert cameras.width.tolist() == [60, 60]


def test_without_a_size_the_picture_has_it(tmp_path):
    cameras = load(write(tmp_path, w=None, h=None, cx=None, cy=None)).cameras
    assert cameras is not None and cameras.Ks[0, :2, 2].tolist() == [30, 20]


@pytest.mark.parametrize(("model", "kind", "order"), [
    ("OPENCV", "pinhole", ["k1", "k2", "p1", "p2", "k3"]),
    ("FULL_OPENCV", "pinhole", ["k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"]),
    ("OPENCV_FISHEYE", "fisheye", ["k1", "k2", "k3", "k4"]),
])  # fmt: skip
def test_distortion(tmp_path, model, kind, order):
    values: dict[str, Any] = {key: 0.01 * (i + 1) for i, key in enumerate(order)}
    cameras = load(write(tmp_path, camera_model=model, **values)).cameras
    assert cameras is not None and cameras.model == kind and cameras.distortion is not None
    expected = list(values.values()) + [0.0] * (8 - len(order))
    np.testing.assert_allclose(cameras.distortion[0].numpy(), expected, rtol=1e-6)


def test_instant_ngps_word_for_fisheye(tmp_path):
    cameras = load(write(tmp_path, is_fisheye=True, k1=0.1)).cameras
    assert cameras is not None and cameras.model == "fisheye"


def test_equirectangular(tmp_path):
    capture = load(write(tmp_path, camera_model="EQUIRECTANGULAR", fl_x=None, fl_y=None))
    assert capture.cameras is not None and capture.cameras.model == "equirectangular"
    assert all(photo.panorama for photo in capture.photos)


@pytest.mark.parametrize(("meta", "words"), [
    ({"camera_model": "OMNIDIRECTIONAL"}, "camera_model 'OMNIDIRECTIONAL' is not supported"),
    ({"camera_model": ["OPENCV"]}, "is not supported"),
    ({"k4": 0.1}, "distortion k4 is not supported for a pinhole"),
    ({"camera_model": "OPENCV_FISHEYE", "p1": 0.1}, "distortion p1 is not supported for a fisheye"),
    ({"fl_x": None, "fl_y": None}, "no focal length"),
    ({"fl_x": 0, "fl_y": 0}, "no focal length"),
    ({"fl_x": "wide"}, "fl_x is 'wide', not a number"),
    ({"w": True}, "w is True, not a number"),
    ({"cx": float("nan")}, "cx is nan, not a number"),
    ({"k1": 1e300}, "k1 is 1e\\+300, not a number"),
    ({"cy": 10**400}, "cy is 1000+.*0, not a number"),
    ({"frames": [{"file_path": "images/0.jpg", "transform_matrix": (1e300 * np.eye(4)).tolist()}]},
     "is not 4×4 numbers"),
    ({"frames": []}, "no list of frames"),
    ({"frames": None}, "no list of frames"),
    ({"frames": {"a": 1}}, "no list of frames"),
    ({"frames": [{"transform_matrix": pose().tolist()}]}, "frame 0 names no file_path"),
    ({"frames": [{"file_path": "images/0.jpg"}]}, "none of its 1 frames has a pose"),
    ({"frames": [{"file_path": "images/0.jpg", "transform_matrix": None}]}, "is not 4×4 numbers"),
    ({"frames": [{"file_path": "images/0.jpg", "transform_matrix": [[1, 2], [3]]}]}, "is not 4×4 numbers"),
    ({"frames": [{"file_path": "images/0.jpg", "transform_matrix": np.zeros((4, 4)).tolist()}]},
     "no rotation"),
    ({"frames": [{"file_path": "images/0.jpg", "transform_matrix": np.diag([1, 1, -1, 1]).tolist()}]},
     "no rotation"),
    ({"frames": [frame("images/0.jpg"), frame("images/1.jpg", camera_model="OPENCV_FISHEYE")]},
     "mixes fisheye and pinhole"),
    ({"frames": [frame("nowhere.jpg")]}, "no photo can be used.*the file is missing"),
    ({"frames": [frame("../../etc/passwd")]}, "not inside"),
    ({"frames": [frame("/etc/passwd")]}, "not inside"),
    ({"ply_file_path": "../points.ply"}, "not inside"),
])  # fmt: skip
def test_what_is_refused(tmp_path, meta, words):
    with pytest.raises(InputError, match=words) as caught:
        load(write(tmp_path, **meta))
    assert "transforms.json" in str(caught.value)


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "{'frames': 1}", "[" * 100_000, '{"frames": [1e999]}',
    '{"frames": [' + "9" * 5000 + "]}", b"\xff\xfe\x00", '{"frames": "all"}',
])  # fmt: skip
def test_broken_json(tmp_path, text):
    path = tmp_path / "transforms.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=r"transforms\.json"):
        load(path)


def test_a_byte_order_mark_is_no_harm(tmp_path):
    path = write(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(load(path)) == 2


def test_frames_that_cannot_be_used_are_set_aside(tmp_path):
    frames = [
        frame("images/0.jpg"), frame("images/1.jpg", 1), frame("images/gone.jpg"), frame("images/0.jpg", 2),
        {"file_path": "images/poseless.jpg"},
    ]  # fmt: skip
    write(tmp_path, frames=frames)
    (tmp_path / "images" / "1.jpg").write_bytes(b"")
    capture = load(tmp_path)
    assert [photo.name for photo in capture.photos] == ["0.jpg"]
    reasons = [(one.name, one.reason) for one in capture.set_aside]
    assert [name for name, _ in reasons] == ["gone.jpg", "0.jpg", "poseless.jpg", "1.jpg"]
    assert "missing" in reasons[0][1] and "twice" in reasons[1][1] and "no pose" in reasons[2][1]
    assert capture.cameras is not None
    np.testing.assert_allclose(capture.cameras.centers[0].numpy(), pose(0)[:3, 3], atol=1e-5)


@pytest.mark.parametrize("name", ["./images/0.jpg", "images\\0.jpg", "images/x/../0.jpg", "images/0"])
def test_ways_to_write_a_path(tmp_path, name):
    assert load(write(tmp_path, frames=[frame(name)])).photos[0].name == "0.jpg"


def test_scaled_and_rounded_rotations_become_rotations(tmp_path):
    matrix = pose()
    matrix[:3, :3] = np.round(2.5 * matrix[:3, :3], 3)
    entry = {"file_path": "images/0.jpg", "transform_matrix": matrix.tolist()}
    cameras = load(write(tmp_path, frames=[entry])).cameras
    assert cameras is not None
    rotation = cameras.rotations[0].double().numpy()
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(cameras.centers[0].numpy(), matrix[:3, 3], atol=1e-5)


def test_masks_named_in_the_file(tmp_path):
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 20:] = 255
    (tmp_path / "m").mkdir()
    Image.fromarray(mask).save(tmp_path / "m" / "0.png")
    frames = [frame("images/0.jpg", mask_path="m/0.png"), frame("images/1.jpg", 1)]
    first, second = load(write(tmp_path, frames=frames)).photos
    np.testing.assert_array_equal(first.decode().mask, mask)
    assert second.decode().mask is None


def test_a_split_in_the_file(tmp_path):
    capture = load(write(tmp_path, photos=3, test_filenames=["images/1.jpg"]))
    assert capture.test_names == frozenset({"1.jpg"})
    assert capture.split().test == [1]


def parts(capture: Capture) -> tuple[list[str], list[str]]:
    """Names of the photos that train, and of those held out."""
    split = capture.split()
    return [capture.photos[i].name for i in split.train], [capture.photos[i].name for i in split.test]


@pytest.mark.parametrize("name", ["images/1", "./images/1.jpg", "images\\1"])
def test_names_in_a_split_are_found_as_those_of_frames(tmp_path, name):
    capture = load(write(tmp_path, photos=3, test_filenames=[name]))
    assert parts(capture) == (["0.jpg", "2.jpg"], ["1.jpg"]) and capture.set_aside == []


@pytest.mark.parametrize(("train", "val", "test", "trained", "held", "unused"), [
    ("012", "", "3", "012", "3", "4"),  # by the others' absence, not by mistake
    ("01", "2", "3", "01", "3", "24"),
    ("01", "23", "", "01", "23", "4"),
    ("012", "", "", "012", "34", ""),
    ("", "12", "3", "04", "3", "12"),
    ("", "12", "", "034", "12", ""),
    ("", "12", "23", "04", "23", "1"),
    ("01234", "", "23", "014", "23", ""),  # what trains and is held out is held out
])  # fmt: skip
def test_all_lists_of_a_split_count(tmp_path, train, val, test, trained, held, unused):
    def names(digits: str, form: str = "{}.jpg") -> list[str]:
        return [form.format(digit) for digit in digits]

    lists = {"train_filenames": train, "val_filenames": val, "test_filenames": test}
    meta: dict[str, Any] = {key: names(digits, "images/{}.jpg") for key, digits in lists.items()}
    capture = load(write(tmp_path, photos=5, **meta))
    assert parts(capture) == (names(trained), names(held))
    assert [one.name for one in capture.set_aside] == names(unused)
    assert all("neither trains nor is held out" in one.reason for one in capture.set_aside)
    assert capture.cameras is not None and len(capture.cameras) == 5 - len(unused)


def test_a_name_in_a_split_that_no_frame_has_is_told(tmp_path):
    capture = load(write(tmp_path, photos=3, test_filenames=["images/1.jpg", "images/7.jpg"]))
    assert parts(capture) == (["0.jpg", "2.jpg"], ["1.jpg"])
    (aside,) = capture.set_aside
    assert aside.name == "7.jpg" and "test_filenames" in aside.reason


def test_a_photo_of_the_split_that_cannot_be_used_is_told_once(tmp_path):
    frames = [frame(f"images/{i}.jpg", i) for i in range(3)] + [frame("images/gone.jpg")]
    test = ["images/1.jpg", "images/gone.jpg"]
    capture = load(
        write(tmp_path, photos=3, frames=frames, train_filenames=["images/0.jpg"], test_filenames=test)
    )
    assert parts(capture) == (["0.jpg"], ["1.jpg"])
    assert [one.name for one in capture.set_aside] == ["gone.jpg", "2.jpg"]


@pytest.mark.parametrize("key", ["train_filenames", "val_filenames", "test_filenames"])
@pytest.mark.parametrize(("value", "words"), [
    (["a.jpg", "b.jpg"], r"none of the names in its \w+ \(a\.jpg …\)"),
    ("images/1.jpg", "no list of file names"),
    ([1], "no list of file names"),
    (["../x.jpg"], "not inside"),
])  # fmt: skip
def test_splits_that_are_refused(tmp_path, key, value, words):
    with pytest.raises(InputError, match=rf"transforms\.json: .*{words}"):
        load(write(tmp_path, photos=3, **{key: value}))


class TestPoints:
    """The .ply that a transforms.json names."""

    dtype: tuple[tuple[str, str], ...] = (
        ("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"),
    )  # fmt: skip

    def table(self, count: int = 5) -> npt.NDArray[np.void]:
        rng = np.random.default_rng(0)
        rows = np.zeros(count, list(self.dtype))
        for name, kind in self.dtype:
            rows[name] = rng.normal(size=count) if kind == "f4" else rng.integers(0, 256, count)
        return rows

    @pytest.mark.parametrize(("text", "order"), [(True, "="), (False, "<"), (False, ">")])
    def test_as_plyfile_writes_it(self, tmp_path, text, order):
        rows = self.table()
        rows["y"][2] = np.nan
        element = PlyElement.describe(rows, "vertex")
        PlyData([element], text=text, byte_order=order, comments=["made"]).write(str(tmp_path / "p.ply"))
        points = load(write(tmp_path, ply_file_path="p.ply")).points
        keep = [0, 1, 3, 4]
        assert points is not None
        np.testing.assert_allclose(
            points.xyz.numpy(), np.stack([rows[a][keep] for a in "xyz"], -1), rtol=1e-6
        )
        assert points.rgb[:, 1].tolist() == rows["green"][keep].tolist()
        assert np.isnan(points.error.numpy()).all() and len(points.track_point) == 0

    @pytest.mark.parametrize("text", [True, False])
    @pytest.mark.parametrize(("kind", "values"), [
        ("f4", [0, 0.2, 1, 1.5, math.nan]), ("f8", [0, 0.2, 1, 1.5, -0.1]),
        ("u2", [0, 13107, 65535, 65500, 100]),
    ])  # fmt: skip
    def test_colours_of_other_types(self, tmp_path, text, kind, values):
        rows = np.zeros(5, [*self.dtype[:3], ("red", kind), ("green", kind), ("blue", kind)])
        rows["green"] = values
        PlyData([PlyElement.describe(rows, "vertex")], text=text).write(str(tmp_path / "p.ply"))
        points = load(write(tmp_path, ply_file_path="p.ply")).points
        assert points is not None and points.rgb[:, 1].tolist() == [0, 51, 255, 255, 0]

    def test_colours_of_which_nobody_knows_the_brightest(self, tmp_path):
        rows = np.zeros(5, [*self.dtype[:3], ("red", "i4"), ("green", "i4"), ("blue", "i4")])
        PlyData([PlyElement.describe(rows, "vertex")]).write(str(tmp_path / "p.ply"))
        with pytest.raises(InputError, match=r"p\.ply: its colours are int32"):
            load(write(tmp_path, ply_file_path="p.ply"))

    def test_without_colours_they_are_grey(self, tmp_path):
        rows = self.table()[["x", "y", "z"]]
        PlyData([PlyElement.describe(np.array(rows.tolist(), list(self.dtype[:3])), "vertex")]).write(
            str(tmp_path / "p.ply")
        )
        points = load(write(tmp_path, ply_file_path="p.ply")).points
        assert points is not None and (points.rgb == 128).all()

    def test_with_its_format_said_last(self, tmp_path):
        PlyData([PlyElement.describe(self.table(), "vertex")]).write(str(tmp_path / "p.ply"))
        wanted = load(write(tmp_path, ply_file_path="p.ply")).points
        head, body = (tmp_path / "p.ply").read_bytes().split(b"end_header\n")
        line = b"format binary_little_endian 1.0\n"
        (tmp_path / "p.ply").write_bytes(head.replace(line, b"") + line + b"end_header\n" + body)
        points = load(write(tmp_path, ply_file_path="p.ply")).points
        assert points is not None and wanted is not None and torch.equal(points.xyz, wanted.xyz)

    def test_a_missing_one_is_no_harm(self, tmp_path):
        assert load(write(tmp_path, ply_file_path="p.ply")).points is None

    @pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
    @pytest.mark.parametrize("count", ["1000000000000", "2", "-1", "many"])
    def test_headers_that_lie(self, tmp_path, encoding, count):
        header = f"ply\nformat {encoding} 1.0\nelement vertex {count}\n"
        header += "".join(f"property float {axis}\n" for axis in "xyz") + "end_header\n"
        (tmp_path / "p.ply").write_bytes(header.encode() + b"1 2 3\n")
        with pytest.raises(InputError, match=r"p\.ply: its header"):
            load(write(tmp_path, ply_file_path="p.ply"))

    @given(place=st.floats(0, 1), junk=st.binary(max_size=12), text=st.booleans())
    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_damaged_files_are_read_or_refused(self, tmp_path_factory, place, junk, text):
        from firstlight.capture._ply_points import read_ply_points

        path = tmp_path_factory.mktemp("ply") / "p.ply"
        PlyData([PlyElement.describe(self.table(), "vertex")], text=text).write(str(path))
        whole = path.read_bytes()
        at = int(place * len(whole))
        path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
        try:
            points = read_ply_points(path)
        except InputError as error:
            assert str(path) in str(error)
        else:
            assert np.isfinite(points.xyz.numpy()).all()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "frames",
    "fl_x",
    "w",
    "h",
    "cx",
    "camera_angle_x",
    "camera_model",
    "k1",
    "ply_file_path",
    "test_filenames",
    "train_filenames",
    "val_filenames",
]
FRAME_KEYS = ["file_path", "transform_matrix", "fl_x", "mask_path", "camera_model"]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("fuzz"))


@given(key=st.sampled_from(KEYS + FRAME_KEYS), value=JSON, nested=st.booleans())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_stands_in_the_json(fuzzed, key, value, nested):
    """A capture, or an InputError that names the file."""
    whole = fuzzed.read_text()
    meta = json.loads(whole)
    (meta["frames"][0] if nested else meta)[key] = value
    try:
        fuzzed.write_text(json.dumps(meta))
        capture = load(fuzzed)
    except InputError as error:
        assert str(fuzzed.parent) in str(error)
    else:
        assert capture.cameras is not None and len(capture.cameras) == len(capture)
        assert np.isfinite(capture.cameras.Ks.numpy()).all()
    finally:
        fuzzed.write_text(whole)


class TestBlender:
    """NeRF's synthetic scenes."""

    def write(self, folder: Path, alpha: bool = True, parts: tuple[str, ...] = ("train", "test")) -> Matrix:
        angle = 0.7
        rgba = np.dstack([texture(40, 40), np.zeros((40, 40), np.uint8)])
        rgba[10:30, 10:30, 3] = 255
        for part in parts:
            frames = []
            for i in range(3):
                (folder / part).mkdir(parents=True, exist_ok=True)
                rgba[0, 0, 0] = i
                picture = Image.fromarray(rgba)
                (picture if alpha else picture.convert("RGB")).save(folder / part / f"r_{i}.png")
                frames.append(frame(f"./{part}/r_{i}", i, rotation=0.01))
            meta = {"camera_angle_x": angle, "frames": frames}
            (folder / f"transforms_{part}.json").write_text(json.dumps(meta))
        focal = 20 / math.tan(angle / 2)
        return np.array([[focal, 0, 20], [0, focal, 20], [0, 0, 1]])

    def test_train_and_test(self, tmp_path):
        K = self.write(tmp_path, parts=("train", "test", "val"))
        capture = load(tmp_path)
        assert capture.layout == "Blender scene (transforms_train.json and transforms_test.json)"
        assert [photo.name for photo in capture.photos][::3] == ["train/r_0.png", "test/r_0.png"]
        assert capture.test_names == frozenset(f"test/r_{i}.png" for i in range(3))
        split = capture.split()
        assert [capture.photos[i].name for i in split.train] == [f"train/r_{i}.png" for i in range(3)]
        assert capture.cameras is not None
        np.testing.assert_allclose(capture.cameras.Ks[4].numpy(), K, rtol=1e-6)
        np.testing.assert_allclose(capture.cameras.centers[4].numpy(), pose(1)[:3, 3], atol=1e-5)

    def test_coordinates_of_the_earth(self, tmp_path):
        self.write(tmp_path)
        for part in ("train", "test"):
            moved(tmp_path / f"transforms_{part}.json", UTM)
        said = Notes()
        cameras = load(tmp_path, progress=said).cameras
        assert cameras is not None and len(said.lines) == 1
        apart = cameras.centers[4] - cameras.centers[0]
        np.testing.assert_allclose(apart.numpy(), pose(1)[:3, 3] - pose(0)[:3, 3], atol=1e-5)

    def test_transparent_pictures_lie_on_white(self, tmp_path):
        self.write(tmp_path)
        capture = load(tmp_path)
        assert capture.background == (1.0, 1.0, 1.0)
        picture = capture.photos[0].decode()
        assert picture.mask is None
        assert (picture.rgb[0] == 255).all()
        np.testing.assert_array_equal(picture.rgb[10:30, 10:30], texture(40, 40)[10:30, 10:30])

    def test_opaque_ones_say_nothing_of_a_background(self, tmp_path):
        self.write(tmp_path, alpha=False)
        assert load(tmp_path).background is None

    def test_validation_stands_in_for_a_missing_test_set(self, tmp_path):
        self.write(tmp_path, parts=("train", "val"))
        assert load(tmp_path).test_names == frozenset(f"val/r_{i}.png" for i in range(3))

    def test_a_picture_in_both_files_trains_once(self, tmp_path):
        self.write(tmp_path)
        path = tmp_path / "transforms_test.json"
        meta = json.loads(path.read_text())
        meta["frames"].append(frame("./train/r_1.png", 1))
        path.write_text(json.dumps(meta))
        said = Notes()
        capture = load(tmp_path, progress=said)
        expected = [[f"{part}/r_{i}.png" for i in range(3)] for part in ("train", "test")]
        assert parts(capture) == tuple(expected) and capture.set_aside == []
        (note,) = said.lines
        assert "1 of its 4 pictures are in transforms_train.json too" in note

    def test_train_alone(self, tmp_path):
        self.write(tmp_path, parts=("train",))
        capture = load(tmp_path / "transforms_train.json")
        assert capture.test_names is None and len(capture) == 3

    def test_without_train(self, tmp_path):
        self.write(tmp_path, parts=("test",))
        with pytest.raises(InputError, match=r"transforms_train\.json: there is no such file"):
            load(tmp_path)
