from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from PIL import Image

from firstlight.cli import main
from firstlight.errors import InputError
from firstlight.scene import Gaussians, Similarity
from firstlight.view import open_scene
from firstlight.view.opening import open_stage
from firstlight.view.stage import Stage
from tests.scenes import random_rotation
from tests.view.conftest import Example


def write_run(folder: Path, example: Example, **about: Any) -> Path:
    folder.mkdir(exist_ok=True)
    example.gaussians.save(folder / "scene.ply")
    cameras = example.capture.cameras
    assert cameras is not None
    entries: list[dict[str, Any]] = [
        {
            "name": f"{i}.jpg",
            "placed": True,
            "viewmat": cameras.viewmats[i].tolist(),
            "K": cameras.Ks[i].tolist(),
            "width": 640,
            "height": 480,
        }
        for i in range(4)
    ]
    entries[2] = {"name": "2.jpg", "placed": False, "viewmat": None, "K": None, "reason": "no overlap"}
    (folder / "poses.json").write_text(json.dumps({"photos": entries}))
    (folder / "run.json").write_text(json.dumps(about))
    return folder


def count(stage: Stage) -> int:
    (exhibit,) = stage.exhibits
    assert exhibit.gaussians is not None
    return len(exhibit.gaussians)


def test_scene_file(tmp_path: Path, example: Example) -> None:
    path = tmp_path / "some.ply"
    example.gaussians.save(path)
    stage = open_stage(path)
    assert count(stage) == 360 and stage.photos == [] and stage.exhibits[0].title == "some.ply"
    with open_scene(path, port=0) as viewer:
        assert viewer.url


def test_a_small_file_is_viewed_shared_and_converted_as_what_it_holds(
    tmp_path: Path, example: Example
) -> None:
    small, plain = tmp_path / "a" / "scene.flz", tmp_path / "b" / "scene.ply"
    example.gaussians.save(small)
    assert main(["convert", str(small), str(plain)]) == 0
    assert all(torch.equal(a, b) for a, b in zip(Gaussians.load(small), Gaussians.load(plain), strict=True))
    assert count(open_stage(small)) == 360
    with open_scene(small, port=0) as viewer, urlopen(viewer.url) as page:
        assert page.status == 200 and b"scene.flz" in page.read()
    pages = [path.with_name("page.html") for path in (small, plain)]
    for path, page_file in zip((small, plain), pages, strict=True):
        assert main(["share", str(path), "--out", str(page_file)]) == 0
    shared, other = (page_file.read_text() for page_file in pages)
    assert shared.replace("scene.flz", "scene.ply") == other
    assert main(["convert", str(plain), str(tmp_path / "again.flz")]) == 0
    assert len(Gaussians.load(tmp_path / "again.flz")) == 360


def test_run_brings_cameras_photos_and_numbers(tmp_path: Path, example: Example) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    texture = np.random.default_rng(0).integers(0, 60, (480, 640, 3), np.uint8)
    for i in range(4):
        Image.fromarray(texture + 60 * np.uint8(i)).save(photos / f"{i}.jpg")
    summary = {"psnr": 27.126, "ssim": 0.91, "measured_on": "held-out photos"}
    stage = open_stage(write_run(tmp_path / "run", example, photos=str(photos), summary=summary))
    assert stage.exhibits[0].text == "PSNR 27.13 dB, SSIM 0.910 on held-out photos"
    capture = stage.capture
    assert capture is not None
    assert [photo.name for photo in capture.photos] == ["0.jpg", "1.jpg", "3.jpg"]
    cameras = example.capture.cameras
    assert capture.cameras is not None and cameras is not None
    np.testing.assert_array_equal(capture.cameras.viewmats[2], cameras.viewmats[3])
    assert 180 < capture.photos[2].decode().rgb.mean() < 240


@pytest.mark.parametrize(
    ("stored", "shown"), [([1.0, 1.0, 1.0], [1, 1, 1]), (None, [0, 0, 0]), ("white", [0, 0, 0])]
)
def test_run_brings_its_background(tmp_path: Path, example: Example, stored: Any, shown: list[int]) -> None:
    stage = open_stage(write_run(tmp_path / "run", example, background=stored))
    assert stage.state()["background"] == shown
    (tmp_path / "run" / "poses.json").unlink()
    assert open_stage(tmp_path / "run").state()["background"] == shown


def test_run_whose_photos_are_gone(tmp_path: Path, example: Example) -> None:
    stage = open_stage(write_run(tmp_path / "run", example, photos=str(tmp_path / "gone")))
    assert len(stage.photos) == 3 and stage.capture is not None
    with pytest.raises(InputError, match=r"0\.jpg"):
        stage.capture.photos[0].decode()


@pytest.mark.parametrize("damaged", ["run.json", "poses.json"])
@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"photos": [{"placed": true}]}', '{"photos": 7, "summary": 7}', "\xff"]
)
def test_run_with_damaged_words_is_still_shown(
    tmp_path: Path, example: Example, damaged: str, content: str
) -> None:
    run = write_run(tmp_path / "run", example)
    (run / damaged).write_bytes(content.encode("latin-1"))
    stage = open_stage(run)
    assert count(stage) == 360
    assert (stage.capture is None) == (damaged == "poses.json")


def test_run_without_words_is_still_shown(tmp_path: Path, example: Example) -> None:
    run = write_run(tmp_path / "run", example)
    (run / "run.json").unlink()
    (run / "poses.json").unlink()
    assert count(open_stage(run)) == 360


def test_poses_that_are_no_numbers(tmp_path: Path, example: Example) -> None:
    run = write_run(tmp_path / "run", example)
    poses = json.loads((run / "poses.json").read_text())
    poses["photos"][0]["viewmat"][0][0] = float("nan")
    (run / "poses.json").write_text(json.dumps(poses))
    assert count(open_stage(run)) == 360


@pytest.mark.parametrize(
    "damage",
    [
        {"K": [[0.0] * 3] * 3},
        {"viewmat": [[0.0] * 4] * 4},
        {"viewmat": (2 * np.eye(4)).tolist()},
        {"viewmat": np.diag([1.0, 1, -1, 1]).tolist()},
        {"width": 0},
        {"height": -480},
        {"width": 10**30},
    ],
)
def test_cameras_that_are_none(tmp_path: Path, example: Example, damage: dict[str, Any]) -> None:
    run = write_run(tmp_path / "run", example)
    poses = json.loads((run / "poses.json").read_text())
    poses["photos"][1] |= damage
    (run / "poses.json").write_text(json.dumps(poses))
    stage = open_stage(run)
    assert count(stage) == 360 and stage.state()["cameras"] == []


def test_runs_of_the_same_photos_are_brought_into_one_frame(tmp_path: Path, example: Example) -> None:
    """Every structure from motion chooses its own origin, directions and scale."""
    move = Similarity(3.0, random_rotation(1), torch.tensor([5.0, -1, 2]).double())
    moved = Example(example.gaussians.transform(move), example.capture.transform(move), [])
    first, second = write_run(tmp_path / "a", example), write_run(tmp_path / "b", moved)
    stage = open_stage(first, second)
    assert [exhibit.title for exhibit in stage.exhibits] == ["a", "b"]
    a, b = (exhibit.gaussians for exhibit in stage.exhibits)
    assert a is not None and b is not None
    torch.testing.assert_close(b.means, a.means, atol=1e-3, rtol=0)
    torch.testing.assert_close(b.scales, a.scales, atol=1e-4, rtol=0)


def test_other_scenes_stay_where_they_are(tmp_path: Path, example: Example) -> None:
    run = write_run(tmp_path / "run", example)
    other = tmp_path / "other.ply"
    example.gaussians.save(other)
    stage = open_stage(other, run)
    assert stage.capture is not None and len(stage.photos) == 3  # the run's, though it comes second
    a, b = (exhibit.gaussians for exhibit in stage.exhibits)
    assert a is not None and b is not None
    torch.testing.assert_close(a.means, b.means)


def test_nothing_to_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing: does not exist"):
        open_scene(tmp_path / "missing")
    with pytest.raises(InputError, match=r"has no scene\.ply.*--resume"):
        open_scene(tmp_path)
    (tmp_path / "broken.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 1000000000000\n")
    with pytest.raises(InputError, match=r"broken\.ply"):
        open_scene(tmp_path / "broken.ply")
