"""Cameras on disk."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from firstlight.capture import load_demo
from firstlight.errors import InputError
from firstlight.poses import Placed, Verdict, estimate, given, load_placed, save_placed, save_poses
from firstlight.scene import Capture, Points, SetAside
from tests.poses.corner import corner


@pytest.fixture
def placed() -> Placed:
    """Three placed photos of four, in a folder each with the same file name."""
    capture = corner(4)
    photos = [replace(photo, name=f"día {i}/a.png") for i, photo in enumerate(capture.photos)]
    points = Points(
        torch.tensor([[0.1, 1 / 3, 2.0], [np.pi, 0, -1e-9]], dtype=torch.float64),
        torch.tensor([[1, 2, 3], [4, 5, 255]], dtype=torch.uint8),
        torch.tensor([0.25, torch.nan], dtype=torch.float64),
        torch.tensor([0, 0, 1, 1]),
        torch.tensor([0, 2, 1, 0]),
    )
    capture = replace(capture, photos=photos, points=points).select([0, 1, 2])
    assert capture.cameras is not None
    capture.cameras.distortion = torch.rand(3, 8)
    capture.set_aside = [SetAside("broken.png", "cut short"), SetAside(photos[3].name, "blurred")]
    verdicts = [Verdict(p.name, True, "fine", 0.5, 100, 90, photos[0].name) for p in photos[:3]]
    return Placed(capture, [*verdicts, Verdict(photos[3].name, False, "blurred")], "a method")


def everything() -> Capture:
    photos = [replace(p, name=f"día {i}/a.png") for i, p in enumerate(corner(4).photos)]
    return Capture(photos, "test")


def test_poses_json_says_what_design_promises(placed, tmp_path):
    save_poses(tmp_path / "poses.json", placed)
    photos = json.loads((tmp_path / "poses.json").read_text(encoding="utf-8"))["photos"]
    assert [p["name"] for p in photos] == [f"día {i}/a.png" for i in range(4)]
    assert [p["placed"] for p in photos] == [True, True, True, False]
    assert photos[3]["viewmat"] is None and photos[3]["K"] is None and photos[3]["reason"] == "blurred"
    np.testing.assert_array_equal(photos[1]["viewmat"], placed.capture.cameras.viewmats[1].numpy())
    np.testing.assert_array_equal(photos[1]["K"], placed.capture.cameras.Ks[1].numpy())
    np.testing.assert_array_equal(photos[1]["distortion"], placed.capture.cameras.distortion[1].numpy())
    assert photos[1]["model"] == "pinhole" and photos[1]["width"] == 360 and photos[1]["error_px"] == 0.5


def test_what_was_saved_comes_back_bit_for_bit(placed, tmp_path):
    save_placed(tmp_path, placed)
    back = load_placed(tmp_path, everything())
    for room, names in (
        ("cameras", ("viewmats", "Ks", "width", "height", "distortion")),
        ("points", ("xyz", "rgb", "track_point", "track_photo", "error")),
    ):
        for name in names:
            a, b = (getattr(getattr(p.capture, room), name) for p in (back, placed))
            assert a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes(), name
    assert back.verdicts == placed.verdicts and back.method == placed.method
    assert [p.name for p in back.capture.photos] == [p.name for p in placed.capture.photos]
    assert back.capture.set_aside == placed.capture.set_aside
    assert back.capture.cameras is not None and back.capture.cameras.model == "pinhole"


def test_depths_that_came_with_photos_have_the_unit_of_found_cameras_again(tmp_path):
    came = load_demo(with_cameras=True).select([0, 2, 4, 6]).resized(480)
    came = replace(came, cameras=None, points=None)
    found = estimate(came)
    save_placed(tmp_path, found)
    again = load_placed(tmp_path, came)
    assert len(found.capture) == 4
    for raw, before, after in zip(came.photos, found.capture.photos, again.capture.photos, strict=True):
        assert raw.depth is not None and before.depth is not None and after.depth is not None
        assert not np.allclose(raw.depth(), before.depth())
        assert np.array_equal(before.depth(), after.depth())


def test_without_distortion_and_points_too(placed, tmp_path):
    cameras = replace(placed.capture.cameras, distortion=None)
    bare = Placed(replace(placed.capture, cameras=cameras, points=None), placed.verdicts, placed.method)
    save_placed(tmp_path, bare)
    back = load_placed(tmp_path, everything()).capture
    assert back.points is None and back.cameras is not None and back.cameras.distortion is None


def test_other_photos_are_refused(placed, tmp_path):
    save_placed(tmp_path, placed)
    with pytest.raises(InputError, match=r"día 2/a.png"):
        load_placed(tmp_path, everything().select([0, 1]))


def test_photos_of_another_size_are_refused(placed, tmp_path):
    save_placed(tmp_path, placed)
    with pytest.raises(InputError, match="180×135"):
        load_placed(tmp_path, everything().resized(180))


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x10\0\0\0\0\0\0\0{}              "])
def test_a_broken_file_is_refused(placed, tmp_path, content):
    (tmp_path / "poses.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="Delete it"):
        load_placed(tmp_path, everything())


@pytest.mark.parametrize("lost", ["cameras.viewmats", "points.track_photo"])
def test_a_file_that_lacks_something_is_refused(placed, tmp_path, lost):
    save_placed(tmp_path, placed)
    path = tmp_path / "poses.safetensors"
    with safe_open(path, framework="pt") as file:
        about, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del tensors[lost]
    save_file(tensors, path, metadata=about)
    with pytest.raises(InputError, match=f"{lost}.*Delete it"):
        load_placed(tmp_path, everything())


@pytest.mark.parametrize(
    "about", [[], {"names": [1, 2, 3]}, {"model": "zzz"}, {"verdicts": [{}]}, {"names": 3}]
)
def test_a_file_that_says_something_else_is_refused(placed, tmp_path, about):
    save_placed(tmp_path, placed)
    path = tmp_path / "poses.safetensors"
    with safe_open(path, framework="pt") as file:
        good = json.loads(file.metadata()["about"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata={"about": json.dumps(good | about if about else about)})
    with pytest.raises(InputError, match=r"poses\.safetensors"):
        load_placed(tmp_path, everything())


def test_a_missing_file_is_refused(placed, tmp_path):
    with pytest.raises(InputError, match=r"poses\.safetensors"):
        load_placed(tmp_path, everything())


def test_cameras_that_came_with_the_photos_are_told_as_such(placed, tmp_path):
    told = given(placed.capture)
    assert told.capture is placed.capture
    assert [v.observations for v in told.verdicts] == [2, 1, 1, 0, 0]
    assert [v.placed for v in told.verdicts] == [True, True, True, False, False]
    with pytest.raises(ValueError, match="no cameras"):
        given(everything())
    save_poses(tmp_path / "poses.json", told)
    reason = json.loads((tmp_path / "poses.json").read_text(encoding="utf-8"))["photos"][0]["reason"]
    assert "came with" in reason
