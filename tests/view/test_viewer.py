from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from firstlight.scene import Gaussians, Photo, Picture, Similarity
from firstlight.view import Viewer
from firstlight.view.frusta import MOST_FRUSTA, photos_shown, thumbnail
from firstlight.view.panel import as_markdown
from tests.view.conftest import Example, blob


class Client:
    """A visitor's browser, as far as moving its camera goes."""

    class Camera:
        aspect = 2.0

    def __init__(self) -> None:
        self.camera: Any = Client.Camera()

    def atomic(self) -> threading.Lock:
        return threading.Lock()


@pytest.fixture
def viewer(example: Example) -> Iterator[Viewer]:
    with Viewer(example.gaussians, example.capture, text="PSNR 30.0 dB", port=0) as running:
        yield running


def let_somebody_in(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer._server, "get_clients", lambda: {0: Client()})
    viewer._welcome()


@pytest.fixture
def visited(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> Viewer:
    let_somebody_in(viewer, monkeypatch)
    return viewer


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(600):
        if happened():
            return
        threading.Event().wait(0.05)
    pytest.fail("did not happen within half a minute")


def words(viewer: Viewer) -> str:
    return viewer._page.panel.text.replace("\\", "")


def count(viewer: Viewer) -> int:
    """How many splats are on the page."""
    node = viewer._page.splats_node
    return 0 if node is None else len(node.centers)


def test_tells_how_many_and_what(viewer: Viewer) -> None:
    assert words(viewer) == "360 Gaussians  \nPSNR 30.0 dB"
    assert count(viewer) == 360
    assert viewer.url.startswith("http://127.0.0.1:")


def test_update_replaces_what_is_shown(visited: Viewer) -> None:
    visited.update(blob((0, 0, 0), (1, 1, 1), 7), "step 10")
    wait_until(lambda: count(visited) == 7)
    assert words(visited) == "7 Gaussians  \nstep 10"
    visited.update(blob((0, 0, 0), (1, 1, 1), 9))
    wait_until(lambda: count(visited) == 9)
    assert words(visited) == "9 Gaussians  \nstep 10"  # the words stay until there are others


def test_update_takes_a_copy(visited: Viewer) -> None:
    training = Gaussians(*(t.requires_grad_() for t in blob((0, 0, 0), (1, 1, 1), 7).clone()))
    with visited._lock:  # nothing can be drawn yet
        visited.update(training)
        with torch.no_grad():
            for tensor in training:
                tensor.fill_(float("nan"))  # as an optimiser goes on in place
    wait_until(lambda: count(visited) == 7)


def test_nothing_is_drawn_for_nobody(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (5, 6, 7):
        viewer.update(blob((0, 0, 0), (1, 1, 1), size), f"step {size}")
    threading.Event().wait(0.3)
    assert count(viewer) == 360
    let_somebody_in(viewer, monkeypatch)
    wait_until(lambda: count(viewer) == 7)  # whoever comes sees the latest
    assert words(viewer) == "7 Gaussians  \nstep 7"


def test_page_is_open_before_there_is_a_scene(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    with Viewer(port=0) as viewer:
        let_somebody_in(viewer, monkeypatch)
        assert "Waiting" in words(viewer)
        viewer.show_capture(example.capture)
        assert len(viewer._page.frusta) == 4
        viewer.update(example.gaussians, "step 1")
        wait_until(lambda: count(viewer) == 360)
        placed = viewer._page.splats_node.centers.copy()
        moved = Similarity(1.0, torch.eye(3, dtype=torch.float64), torch.tensor([3.0, 0, 0]).double())
        viewer.update(example.gaussians.transform(moved), "step 2")
        wait_until(lambda: "step 2" in words(viewer))
        # The scene has moved; what it is seen from has stayed.
        assert (viewer._page.splats_node.centers - placed)[:, 0].min() > 1


def test_first_gaussians_settle_a_scene_without_cameras(example: Example) -> None:
    with Viewer(port=0) as viewer:
        viewer.update(example.gaussians)
        wait_until(lambda: count(viewer) == 360)  # the first are drawn ahead, to be ready
        assert viewer._page.panel._points.disabled and viewer._page.panel._cameras.disabled


def test_another_capture_takes_the_place_of_the_first(visited: Viewer, example: Example) -> None:
    visited.show_capture(example.capture.select([1, 2]))
    assert len(visited._page.frusta) == 2
    assert count(visited) == 0  # they were in the old units
    assert "Waiting" in words(visited)
    visited.update(example.gaussians)
    wait_until(lambda: count(visited) == 360)


def test_nothing_to_draw_is_no_error(visited: Viewer, example: Example) -> None:
    nothing = example.gaussians.select(torch.arange(0))
    visited.update(nothing)
    wait_until(lambda: count(visited) == 0)
    visited.update(example.gaussians)
    wait_until(lambda: count(visited) == 360)
    with Viewer(nothing, port=0) as empty:
        assert words(empty) == "0 Gaussians"


def test_sliders_thin_and_resize(viewer: Viewer) -> None:
    before = viewer._page.splats_node.covariances.copy()
    viewer._page.panel._size.value = 2.0
    viewer._page.redraw()
    np.testing.assert_allclose(viewer._page.splats_node.covariances, 4 * before, rtol=2e-2, atol=1e-5)
    viewer._page.panel._opacity.value = 0.9  # all are at 0.8
    viewer._page.redraw()
    assert count(viewer) == 0
    viewer._page.panel._opacity.value = 0.7
    viewer._page.redraw()
    assert count(viewer) == 360


def test_boxes_show_and_hide(visited: Viewer) -> None:
    page = visited._page
    frusta = list(page.frusta.values())
    assert [frustum.visible for frustum in frusta] == [False, True, True, True]  # one stands in the first
    assert page.splats_node.visible and not page.points_node.visible
    page.panel._splats.value = page.panel._cameras.value = False
    page.panel._points.value = True
    page.show()
    assert not any(frustum.visible for frustum in frusta)
    assert not page.splats_node.visible and page.points_node.visible
    visited.update(blob((0, 0, 0), (1, 1, 1), 7))
    wait_until(lambda: count(visited) == 7)
    assert not page.splats_node.visible  # what is hidden stays hidden while it trains


def test_visitors_are_moved_to_cameras_and_back(viewer: Viewer, example: Example) -> None:
    client, page = Client(), viewer._page
    cameras, frame = example.capture.cameras, page.frame
    assert cameras is not None and frame is not None
    page.go_to(client, 2)
    np.testing.assert_allclose(client.camera.position, frame.place(cameras.centers)[2], atol=1e-5)
    np.testing.assert_allclose(client.camera.fov, 2 * np.arctan(240 / 400))  # the window is wider
    assert [frustum.visible for frustum in page.frusta.values()] == [True, True, False, True]
    client.camera.aspect = 0.5
    page.reset(client)
    np.testing.assert_array_equal(client.camera.position, frame.first.position)
    np.testing.assert_allclose(np.tan(client.camera.fov / 2) * 0.5, 320 / 400)  # the window is narrower
    assert [frustum.visible for frustum in page.frusta.values()] == [False, True, True, True]


def test_photos_are_not_decoded_for_nobody(
    viewer: Viewer, example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    threading.Event().wait(0.2)
    assert example.decoded == []
    let_somebody_in(viewer, monkeypatch)
    wait_until(lambda: all(frustum.image is not None for frustum in viewer._page.frusta.values()))
    assert sorted(example.decoded) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    picture = viewer._page.frusta[0].image
    assert picture.shape == (144, 192, 3)
    np.testing.assert_array_equal(picture[0, 0], [255, 255, 0])


def test_frusta_point_where_the_cameras_did(viewer: Viewer, example: Example) -> None:
    import viser.transforms as tf

    cameras = example.capture.cameras
    assert cameras is not None
    for index, frustum in viewer._page.frusta.items():
        rotation = tf.SO3(frustum.wxyz).as_matrix()  # camera → page
        np.testing.assert_allclose(rotation.T, cameras.rotations[index].numpy(), atol=1e-6)
        assert frustum.aspect == pytest.approx(640 / 480)


def test_photo_that_is_gone_leaves_its_frustum_empty() -> None:
    def decode() -> Picture:
        raise FileNotFoundError("moved")

    assert thumbnail(Photo("a.jpg", 10, 10, decode)) is None


def test_thousands_of_cameras_are_thinned(example: Example) -> None:
    photos = [Photo(f"{i}", 8, 8, lambda: Picture(np.zeros((8, 8, 3), np.uint8))) for i in range(1000)]
    cameras = example.capture.cameras
    assert cameras is not None
    many = replace(example.capture, photos=photos, cameras=cameras.select([0] * 1000), points=None)
    shown = photos_shown(many)
    assert len(shown) == MOST_FRUSTA and shown[0] == 0 and shown[-1] == 999
    assert photos_shown(replace(many, cameras=None)) == []


def test_points_that_are_nowhere_are_left_out(example: Example) -> None:
    points = example.capture.points
    assert points is not None
    points.xyz[:100] = float("nan")
    with Viewer(example.gaussians, example.capture, port=0) as viewer:
        assert viewer._page.points_node.points.shape == (260, 3)
        assert np.isfinite(viewer._page.points_node.points).all()


def test_background_of_the_data_is_taken(example: Example) -> None:
    white = replace(example.capture, background=(1.0, 1.0, 1.0))
    with Viewer(example.gaussians, white, port=0) as viewer:
        assert viewer._page.panel.background == (255, 255, 255)


def test_many_threads_may_update(visited: Viewer) -> None:
    errors: list[BaseException] = []

    def train(size: int) -> None:
        try:
            for step in range(10):
                visited.update(blob((0, 0, 0), (1, 0, 0), size + step), f"step {step}")
                visited._while_open(visited._page.redraw)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=train, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    wait_until(lambda: words(visited).endswith("step 9") and count(visited) in {9, 109, 209, 309})


def test_after_closing_nothing_happens(example: Example) -> None:
    viewer = Viewer(example.gaussians, example.capture, port=0)
    waiting = threading.Thread(target=viewer.wait)
    waiting.start()
    viewer.close()
    waiting.join(timeout=5)
    assert not waiting.is_alive()
    viewer.close()
    viewer.update(example.gaussians.select(torch.arange(3)), "late")
    viewer.show_capture(example.capture.select([0]))
    viewer._while_open(lambda: pytest.fail("a visitor after the end"))
    assert len(viewer._page.frusta) == 4 and count(viewer) == 360


def test_closing_ends_the_threads(example: Example) -> None:
    before = threading.active_count()
    with Viewer(example.gaussians, example.capture, port=0):
        assert threading.active_count() > before
    wait_until(lambda: threading.active_count() <= before)


def test_ctrl_c_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Viewer(port=0)

    def interrupt(timeout: float) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(viewer._closed, "wait", interrupt)
        viewer.wait()
    assert viewer._closed.is_set()


def test_names_are_no_markup() -> None:
    assert as_markdown("![x](/etc/passwd) <img src=x>") == (
        "\\!\\[x\\]\\(\\/etc\\/passwd\\) \\<img src\\=x\\>"
    )
