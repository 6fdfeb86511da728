from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from firstlight.scene import Gaussians, Photo, Picture
from firstlight.view import Viewer
from firstlight.view.frusta import MOST_FRUSTA, photos_shown, thumbnail
from firstlight.view.panel import as_markdown
from tests.view.conftest import Example, blob


@pytest.fixture
def viewer(example: Example) -> Iterator[Viewer]:
    with Viewer(example.gaussians, example.capture, text="PSNR 30.0 dB", port=0) as running:
        yield running


def on_page(viewer: Viewer) -> Any:
    return viewer._splats_node


def test_tells_how_many_and_what(viewer: Viewer) -> None:
    assert viewer._panel.text == "360 Gaussians  \nPSNR 30\\.0 dB"
    assert viewer.url.startswith("http://127.0.0.1:")


def test_update_replaces_what_is_shown(viewer: Viewer) -> None:
    few = blob((0, 0, 0), (1, 1, 1), 7)
    viewer.update(few, "step 10")
    assert len(on_page(viewer).centers) == 7
    assert viewer._panel.text == "7 Gaussians  \nstep 10"
    viewer.update(blob((0, 0, 0), (1, 1, 1), 9))
    assert viewer._panel.text == "9 Gaussians  \nstep 10"  # the words stay until there are others


def test_page_is_open_before_there_is_a_scene(example: Example) -> None:
    with Viewer(port=0) as viewer:
        assert "Waiting" in viewer._panel.text
        viewer.show_capture(example.capture)
        assert len(viewer._frusta) == 4
        viewer.update(example.gaussians, "step 1")
        assert len(on_page(viewer).centers) == 360
        placed = on_page(viewer).centers.copy()
        viewer.update(example.gaussians.transform(_shift(3.0)), "step 2")
        moved = on_page(viewer).centers - placed
        assert moved[:, 0].min() > 1  # the scene moves; what it is seen from stays


def _shift(x: float) -> Any:
    from firstlight.scene import Similarity

    return Similarity(1.0, torch.eye(3, dtype=torch.float64), torch.tensor([x, 0, 0]).double())


def test_first_gaussians_settle_a_scene_without_cameras(example: Example) -> None:
    with Viewer(port=0) as viewer:
        viewer.update(example.gaussians)
        assert len(on_page(viewer).centers) == 360


def test_another_capture_takes_the_place_of_the_first(viewer: Viewer, example: Example) -> None:
    viewer.show_capture(example.capture.select([1, 2]))
    assert len(viewer._frusta) == 2
    assert on_page(viewer) is None  # in the old units, until the next update
    viewer.update(example.gaussians)
    assert len(on_page(viewer).centers) == 360


def test_nothing_to_draw_is_no_error(viewer: Viewer, example: Example) -> None:
    nothing = example.gaussians.select(torch.arange(0))
    viewer.update(nothing)
    assert not on_page(viewer).visible
    viewer.update(example.gaussians)
    assert on_page(viewer).visible
    with Viewer(nothing, port=0) as empty:
        assert empty._panel.text == "0 Gaussians"


def test_sliders_thin_and_resize(viewer: Viewer) -> None:
    before = on_page(viewer).covariances.copy()
    viewer._panel._size.value = 2.0
    viewer._adjust()
    np.testing.assert_allclose(on_page(viewer).covariances, 4 * before, rtol=2e-2, atol=1e-5)
    viewer._panel._opacity.value = 0.9
    viewer._adjust()
    assert not on_page(viewer).visible  # all are at 0.8


def test_boxes_show_and_hide(viewer: Viewer) -> None:
    frusta = list(viewer._frusta.values())
    assert [frustum.visible for frustum in frusta] == [False, True, True, True]  # one stands in the first
    assert on_page(viewer).visible and not viewer._points_node.visible
    viewer._panel._splats.value = False
    viewer._panel._points.value = True
    viewer._panel._cameras.value = False
    viewer._show()
    assert not any(frustum.visible for frustum in frusta)
    assert not on_page(viewer).visible and viewer._points_node.visible
    viewer.update(blob((0, 0, 0), (1, 1, 1)))
    assert not on_page(viewer).visible  # what is hidden stays hidden while it trains


def test_standing_in_a_camera_hides_its_frustum(viewer: Viewer) -> None:
    viewer._go_to(None, 2)
    assert [frustum.visible for frustum in viewer._frusta.values()] == [True, True, False, True]
    viewer._reset(None)
    assert [frustum.visible for frustum in viewer._frusta.values()] == [False, True, True, True]


def test_photos_are_not_decoded_for_nobody(viewer: Viewer, example: Example) -> None:
    threading.Event().wait(0.2)
    assert example.decoded == []
    viewer._visited.set()
    for _ in range(100):
        if all(frustum.image is not None for frustum in viewer._frusta.values()):
            break
        threading.Event().wait(0.05)
    assert sorted(example.decoded) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    picture = viewer._frusta[0].image
    assert picture.shape == (144, 192, 3)
    np.testing.assert_array_equal(picture[0, 0], [255, 255, 0])


def test_frusta_point_where_the_cameras_did(viewer: Viewer, example: Example) -> None:
    import viser.transforms as tf

    cameras = example.capture.cameras
    assert cameras is not None
    for index, frustum in viewer._frusta.items():
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


def test_background_of_the_data_is_taken(example: Example) -> None:
    white = replace(example.capture, background=(1.0, 1.0, 1.0))
    with Viewer(example.gaussians, white, port=0) as viewer:
        assert viewer._panel.background == (255, 255, 255)


def test_many_threads_may_update(viewer: Viewer, example: Example) -> None:
    errors: list[BaseException] = []

    def train(count: int) -> None:
        try:
            for step in range(10):
                viewer.update(blob((0, 0, 0), (1, 0, 0), count + step), f"step {step}")
                viewer._adjust()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=train, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(on_page(viewer).centers) in {100 * i + 9 for i in range(4)}


def test_after_closing_nothing_happens(example: Example) -> None:
    viewer = Viewer(example.gaussians, example.capture, port=0)
    waiting = threading.Thread(target=viewer.wait)
    waiting.start()
    viewer.close()
    waiting.join(timeout=5)
    assert not waiting.is_alive()
    viewer.close()
    viewer.update(example.gaussians, "late")
    viewer.show_capture(example.capture)
    viewer._go_to(None, 1)
    viewer._reset(None)
    viewer._adjust()
    viewer._show()


def test_ctrl_c_closes(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Viewer(port=0)

    def interrupt(timeout: float) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(viewer._closed, "wait", interrupt)
    viewer.wait()
    assert viewer._closed.is_set()


def test_names_are_no_markup() -> None:
    assert as_markdown("![x](/etc/passwd) <img src=x>") == (
        "\\!\\[x\\]\\(\\/etc\\/passwd\\) \\<img src\\=x\\>"
    )


def test_gaussians_of_a_fit_are_shown(viewer: Viewer, example: Example) -> None:
    training = Gaussians(*(tensor.requires_grad_() for tensor in example.gaussians.clone()))
    viewer.update(training)
    assert len(on_page(viewer).centers) == 360
