from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from typing import Any

import numpy as np
import pytest
import torch

from firstlight.scene import Photo, Picture
from firstlight.view import Viewer
from firstlight.view.stage import MOST_CAMERAS, Exhibit, Stage
from tests.view.conftest import Example, blob
from tests.view.test_server import ask, port_of


def state_of(viewer: Viewer, after: int | None = None) -> dict[str, Any]:
    path = "/state" if after is None else f"/state?after={after}"
    read: dict[str, Any] = json.loads(ask(port_of(viewer), path)[1])
    return read


def count(viewer: Viewer) -> int | None:
    header = json.loads(ask(port_of(viewer), "/scene/0")[1])
    return None if header is None else int(header["count"])


def words(viewer: Viewer) -> str:
    (scene,) = state_of(viewer)["scenes"]
    return str(scene["text"])


def test_tells_how_many_and_what(example: Example) -> None:
    with Viewer(example.gaussians, example.capture, text="PSNR 30.0 dB", port=0) as viewer:
        assert words(viewer) == "PSNR 30.0 dB"
        assert count(viewer) == 360
        assert viewer.url.startswith("http://127.0.0.1:")


def test_update_replaces_what_is_shown(example: Example) -> None:
    with Viewer(example.gaussians, example.capture, text="", port=0) as viewer:
        before = state_of(viewer)
        few = blob((0, 0, 0), (1, 1, 1), 7)
        viewer.update(few, "step 10")
        few.means.zero_()  # training goes on: the viewer has a copy
        assert count(viewer) == 7 and words(viewer) == "step 10"
        viewer.update(blob((0, 0, 0), (1, 1, 1), 9))
        assert count(viewer) == 9 and words(viewer) == "step 10"  # the words stay until there are others
        after = state_of(viewer)
        assert after["version"] == 2 and after["stage"] == before["stage"]
        assert after["frame"] == before["frame"] and after["view"] == before["view"]


def test_page_may_go_on_loading_while_it_trains(example: Example) -> None:
    with Viewer(example.gaussians, example.capture, port=0) as viewer:
        count(viewer)
        first = ask(port_of(viewer), "/scene/0/0?version=0")
        viewer.update(example.gaussians.select(torch.arange(9)))
        count(viewer)
        assert first[0] == 200 and ask(port_of(viewer), "/scene/0/0?version=0")[1] == first[1]
        for _ in range(3):
            viewer.update(example.gaussians)
            count(viewer)
        assert ask(port_of(viewer), "/scene/0/0?version=0")[0] == 409  # memory has an end


def test_question_for_news_waits_for_them(example: Example) -> None:
    with Viewer(port=0) as viewer:
        assert count(viewer) is None
        answers: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: answers.append(state_of(viewer, after=0)))
        asking.start()
        viewer.show_capture(example.capture)
        asking.join(timeout=60)
        assert [answer["version"] for answer in answers] == [1]
        assert len(answers[0]["cameras"]) == 4


def test_closing_answers_whoever_waits(example: Example) -> None:
    viewer = Viewer(example.gaussians, port=0)
    done = threading.Event()

    def wait_for_news() -> None:
        with suppress(OSError, HTTPException):  # the line may be cut before the answer is out
            state_of(viewer, after=0)
        done.set()

    asking = threading.Thread(target=wait_for_news)
    asking.start()
    viewer.close()
    assert done.wait(15)  # far less than a question may stay open
    asking.join()


def test_scene_without_cameras_is_framed_by_its_first_gaussians(example: Example) -> None:
    with Viewer(port=0) as viewer:
        viewer.update(example.gaussians)
        first = state_of(viewer)
        viewer.update(example.gaussians.select(torch.arange(100)))
        assert state_of(viewer)["frame"] == first["frame"]
        assert first["frame"] == Stage([Exhibit(example.gaussians)]).state()["frame"]


def test_photos_are_not_decoded_for_nobody(example: Example) -> None:
    with Viewer(example.gaussians, example.capture, port=0) as viewer:
        state_of(viewer)
        assert example.decoded == []
        assert ask(port_of(viewer), "/photo/2")[0] == 200
        assert example.decoded == ["2.jpg"]


def test_photo_that_is_gone(example: Example) -> None:
    def decode() -> Picture:
        raise FileNotFoundError("moved")

    photos = [Photo(f"{i}.jpg", 640, 480, decode) for i in range(4)]
    with Viewer(example.gaussians, replace(example.capture, photos=photos), port=0) as viewer:
        assert ask(port_of(viewer), "/photo/0")[0] == 404


def test_thousands_of_cameras_are_thinned(example: Example) -> None:
    photos = [Photo(f"{i}", 8, 8, lambda: Picture(np.zeros((8, 8, 3), np.uint8))) for i in range(1000)]
    cameras = example.capture.cameras
    assert cameras is not None
    many = replace(example.capture, photos=photos, cameras=cameras.select([0] * 1000), points=None)
    shown = Stage([Exhibit(None)], many).photos
    assert len(shown) == MOST_CAMERAS and shown[0] == 0 and shown[-1] == 999
    assert Stage([Exhibit(None)], replace(many, cameras=None)).photos == []


def test_cameras_stand_where_they_did(example: Example) -> None:
    stage = Stage([Exhibit(example.gaussians)], example.capture)
    cameras = example.capture.cameras
    assert cameras is not None
    for index, camera in enumerate(stage.state()["cameras"]):
        np.testing.assert_allclose(camera["position"], stage.frame.place(cameras.centers)[index])
        np.testing.assert_allclose(camera["rows"], cameras.rotations[index], atol=1e-6)
        np.testing.assert_allclose(camera["fov"], 2 * np.arctan([320 / 400, 240 / 400]), atol=1e-6)


def test_points_that_are_nowhere_are_left_out(example: Example) -> None:
    points = example.capture.points
    assert points is not None
    points.xyz[:100] = float("nan")
    stage = Stage([Exhibit(example.gaussians)], example.capture)
    xyz = np.frombuffer(stage.points(), np.float32, 260 * 3)
    assert len(stage.points()) == 260 * 15 and np.isfinite(xyz).all()
    points.xyz[:] = float("nan")
    assert stage.points() == b"" and not stage.state()["points"]


def test_background_of_the_data_is_taken(example: Example) -> None:
    white = replace(example.capture, background=(1.0, 1.0, 1.0))
    assert Stage([Exhibit(example.gaussians)], white).state()["background"] == [1, 1, 1]


def test_many_threads_may_update(example: Example) -> None:
    errors: list[BaseException] = []

    def train(size: int) -> None:
        try:
            for step in range(10):
                viewer.update(blob((0, 0, 0), (1, 0, 0), size + step), f"step {step}")
                count(viewer)
        except BaseException as error:
            errors.append(error)

    with Viewer(example.gaussians, example.capture, port=0) as viewer:
        threads = [threading.Thread(target=train, args=(100 * i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert words(viewer) == "step 9" and count(viewer) in {9, 109, 209, 309}
        assert state_of(viewer)["version"] == 40


def test_after_closing_nothing_happens(example: Example) -> None:
    viewer = Viewer(example.gaussians, example.capture, port=0)
    waiting = threading.Thread(target=viewer.wait)
    waiting.start()
    viewer.close()
    waiting.join(timeout=15)
    assert not waiting.is_alive()
    viewer.close()
    viewer.update(example.gaussians.select(torch.arange(3)), "late")
    viewer.show_capture(example.capture.select([0]))
    with pytest.raises(OSError):
        ask(port_of(viewer))


def test_ctrl_c_closes(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Viewer(example.gaussians, port=0)

    def interrupt(timeout: float) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(viewer._changed, "wait", interrupt)
        viewer.wait()
    with pytest.raises(OSError):
        ask(port_of(viewer))
