from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch

from firstlight.cli import main
from firstlight.errors import InputError
from firstlight.progress import Silent
from firstlight.render import render_camera
from firstlight.scene import Similarity
from firstlight.view import film
from firstlight.view.film import read_colour, write_video
from firstlight.view.frame import FOV_WITHOUT_CAMERA, frame_scene
from firstlight.view.links import look_from, read_view
from firstlight.view.paths import Flight, read_flight
from tests.view.conftest import CENTER, Example
from tests.view.test_opening import write_run

PLAIN: dict[str, Any] = {
    "position": [0, 0, 0],
    "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "fx": 1,
    "fy": 1,
    "width": 2,
    "height": 2,
}


def test_orbit_goes_once_around_what_is_seen(example: Example) -> None:
    frame = frame_scene(example.gaussians, example.capture)
    cameras = Flight.orbit(frame).cameras(9, 64, 48)
    target = torch.tensor(CENTER)
    distances = (cameras.centers - target).norm(dim=1)
    assert (distances - distances[0]).abs().max() < 0.3
    forward = torch.nn.functional.normalize(target - cameras.centers, dim=1)
    assert ((forward * cameras.rotations[:, 2]).sum(1) > 0.99).all()
    torch.testing.assert_close(cameras.viewmats[0], cameras.viewmats[8], atol=1e-3, rtol=0)
    assert (cameras.centers[4] - cameras.centers[0]).norm() > 1.9 * distances[0]  # the other side
    assert (cameras.rotations[:, 1, 1] > 0.9).all()  # upright: y points down in this scene


def test_flight_passes_its_keys_in_order(example: Example) -> None:
    cameras = example.capture.cameras
    assert cameras is not None
    along = Flight.through(cameras).cameras(7, 640, 480)  # every other one is a key
    torch.testing.assert_close(along.viewmats[::2], cameras.viewmats, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(along.Ks[::2], cameras.Ks, atol=1e-3, rtol=1e-5)
    ends = torch.stack([cameras.centers[:-1], cameras.centers[1:]])
    between = along.centers[1::2]
    assert (between > ends.amin(0) - 1e-5).all() and (between < ends.amax(0) + 1e-5).all()


def test_whatever_the_shape_the_keys_are_in_the_picture(example: Example) -> None:
    cameras = example.capture.cameras
    assert cameras is not None
    for width, height in ((640, 100), (100, 640)):
        K = Flight.through(cameras).cameras(1, width, height).Ks[0]
        assert width / (2 * K[0, 0]) >= 320 / 400 - 1e-4 and height / (2 * K[1, 1]) >= 240 / 400 - 1e-4


def test_key_files_say_the_same(tmp_path: Path, example: Example) -> None:
    cameras = example.capture.cameras
    assert cameras is not None
    run = write_run(tmp_path / "run", example)
    poses = read_flight(run / "poses.json")
    assert len(poses) == 3  # one was not placed
    kerbl = [
        {"id": i, "img_name": f"{i}", "width": 640, "height": 480, "fx": 400, "fy": 400,
         "position": cameras.centers[i].tolist(), "rotation": cameras.rotations[i].T.tolist()}
        for i in (0, 1, 3)
    ]  # fmt: skip
    (tmp_path / "cameras.json").write_text(json.dumps(kerbl))
    other = read_flight(tmp_path / "cameras.json")
    for name in ("positions", "rotations", "fovs"):
        np.testing.assert_allclose(getattr(other, name), getattr(poses, name), atol=1e-5)
    (tmp_path / "views.json").write_text(
        json.dumps(["0,0,-5,0,0,0,0,-1,0,60", "http://x/#view=1,0,-5,0,0,0,0,-1,0,60"])
    )
    views = read_flight(tmp_path / "views.json")
    np.testing.assert_allclose(views.positions, [[0, 0, -5], [1, 0, -5]])
    np.testing.assert_allclose(views.rotations[0], np.eye(3), atol=1e-6)
    assert views.cameras(3, 8, 8).Ks[1, 1, 1] == pytest.approx(4 / math.tan(math.radians(30)))


@pytest.mark.parametrize("lens", [{"K": np.eye(3).tolist(), "model": "equirectangular"}, {"K": None}])
def test_a_key_without_a_lens_has_an_ordinary_one(tmp_path: Path, lens: dict[str, Any]) -> None:
    """Half the world in one picture would be a pinhole's field of view of 180 degrees."""
    entry = {"viewmat": np.eye(4).tolist(), "width": 4000, "height": 2000} | lens
    (tmp_path / "poses.json").write_text(json.dumps({"photos": [entry]}))
    across, down = read_flight(tmp_path / "poses.json").fovs[0]
    assert across == pytest.approx(FOV_WITHOUT_CAMERA) and 0 < down < across


@pytest.mark.parametrize(
    "content",
    [
        "", "7", "{}", "[]", "[7]", "[[]]", '[{"viewmat": 1}]', '["nowhere"]', '{"photos": 7}', "[" * 100_000,
        json.dumps([PLAIN | {"fx": 0}]),
        json.dumps([PLAIN | {"position": [0, 0, math.nan]}]),
        json.dumps([PLAIN | {"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 2]]}]),
        json.dumps([PLAIN | {"width": -2}]),
        json.dumps([PLAIN | {"position": [0, 0]}]), json.dumps([{"viewmat": [[1, 0], [0, 1]]} | PLAIN]),
    ],
)  # fmt: skip
def test_files_without_usable_cameras(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(InputError, match=r"keys\.json"):
        read_flight(tmp_path / "keys.json")
    with pytest.raises(InputError, match="missing"):
        read_flight(tmp_path / "missing.json")


@pytest.fixture
def scene(tmp_path: Path, example: Example) -> Path:
    example.gaussians.save(tmp_path / "scene.ply")
    return tmp_path / "scene.ply"


def frames_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_video_shows_what_the_pictures_show(tmp_path: Path, scene: Path) -> None:
    common: dict[str, Any] = {"size": (96, 64), "fps": 4, "seconds": 1, "background": "#204060"}
    film(scene, tmp_path / "film.mp4", **common)
    film(scene, tmp_path / "frames", **common)
    shown = frames_of(tmp_path / "film.mp4")
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png", "00003.png"] and len(shown) == 4
    for name, frame in zip(names, shown, strict=True):
        picture = cv2.imread(str(tmp_path / "frames" / name))
        assert picture is not None and frame.shape == (64, 96, 3)
        difference = frame.astype(float) - picture[..., ::-1]
        assert 10 * np.log10(255**2 / np.mean(difference**2)) > 28  # half the colours' pixels are gone
        assert np.abs(difference[:4, :4]).max() < 6  # the background keeps its colour
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == 4 and stream.codec_context.name == "h264"


def test_one_view(tmp_path: Path, scene: Path, example: Example) -> None:
    text = "3,-2,2,3,-2,7,0,-1,0,60"
    film(scene, tmp_path / "one.png", view=text, size=(80, 60))
    picture = cv2.imread(str(tmp_path / "one.png"))
    with torch.no_grad():
        expected = render_camera(example.gaussians, look_from(read_view(text), 80, 60))[0]
    assert picture is not None
    assert np.abs(picture[..., ::-1] - 255 * expected.clamp(0, 1).numpy()).max() <= 1
    assert picture.max() > 200


def test_small_scenes_are_seen(tmp_path: Path, example: Example) -> None:
    """Nearer than the rasteriser's own near plane: units are whatever structure from motion chose."""
    small = replace(Similarity.identity(), scale=1e-3)
    for name, scene in (("usual", example.gaussians), ("small", example.gaussians.transform(small))):
        scene.save(tmp_path / f"{name}.ply")
        film(tmp_path / f"{name}.ply", tmp_path / name, size=(64, 48), seconds=0.01)
    usual, tiny = (cv2.imread(str(tmp_path / name / "00000.png")) for name in ("usual", "small"))
    assert usual is not None and tiny is not None
    assert usual.mean() > 5 and np.abs(usual.astype(float) - tiny).mean() < 1


def test_progress_is_told(tmp_path: Path, scene: Path) -> None:
    told = []

    class Listener(Silent):
        def stage(self, title: str, total: int | None = None) -> Any:
            told.append((title, total))
            return super().stage(title, total)

    film(scene, tmp_path / "f", size=(16, 16), fps=3, seconds=1, progress=Listener())
    assert told == [("rendering", 3)]


@pytest.mark.parametrize(
    ("out", "options", "said"),
    [
        ("a.mp4", {"size": (33, 32)}, "even"),
        ("a.gif", {}, r"\.mp4"),
        ("a.mp4", {"view": "0,0,0,0,0,1,0,-1,0,60"}, r"\.png"),
        ("a.png", {}, "PNGs"),
        ("a.mp4", {"fps": 0}, "240"),
        ("a.mp4", {"size": (8, 10_000)}, "4096"),
        ("a.mp4", {"background": "sky"}, "#rrggbb"),
        ("full", {}, "empty folder"),
    ],
)
def test_wishes_that_cannot_be_met(
    tmp_path: Path, scene: Path, out: str, options: dict[str, Any], said: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match=said):
        film(scene, tmp_path / out, **options)
    assert not (tmp_path / "a.mp4").exists()


def test_film_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_text("old")

    def frames() -> Any:
        yield np.zeros((32, 32, 3), np.uint8)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        write_video(frames(), path, 10)
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_colours() -> None:
    assert read_colour("white") == (1, 1, 1)
    assert read_colour("#ff0080") == (1, 0, 128 / 255)


def test_command_line(tmp_path: Path, scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "o.mp4"
    render = ["render", str(scene), "--out", str(out), "--fps", "2", "--seconds", "1"]
    assert main([*render, "--orbit", "--size", "32x32"]) == 0
    assert len(frames_of(out)) == 2 and str(out) in capsys.readouterr().out
    assert main([*render, "--size", "big"]) == 2 and "1280x720" in capsys.readouterr().err
    assert main([*render, "--orbit", "--path", "x.json"]) == 2
    page = tmp_path / "page.html"
    assert main(["share", str(scene), "--out", str(page)]) == 0
    assert "360 Gaussians" in capsys.readouterr().out and page.stat().st_size > 10_000
