"""The page in a real browser."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from firstlight.render import render_camera
from firstlight.scene import Cameras
from firstlight.view import Viewer
from tests.browser import watch_requests
from tests.view.conftest import CENTER, Example, blob

WIDTH, HEIGHT = 1200, 600
# Of the window, what neither the panel on the right nor a notice on the left can cover.
FREE = slice(160, HEIGHT), slice(0, 900)
Pixels = npt.NDArray[np.int16]  # [h, w, 3]

pytestmark = pytest.mark.browser


def look(page: Any) -> Pixels:
    """What is in the free part of the window now."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(np.int16)[FREE]


def wait_for(page: Any, seen: Callable[[Pixels], bool], seconds: float = 30) -> Pixels:
    """Look until ``seen``; software rendering has no fixed pace."""
    end = time.monotonic() + seconds
    while True:
        pixels = look(page)
        if seen(pixels):
            return pixels
        if time.monotonic() > end:
            Image.fromarray(pixels.astype(np.uint8)).save("last-look.png")
            pytest.fail("did not come into sight; see last-look.png")
        page.wait_for_timeout(100)


def wait_until_still(page: Any) -> Pixels:
    """Look until nothing has moved for a while."""
    before = look(page)
    for _ in range(100):
        page.wait_for_timeout(400)
        now = look(page)
        if np.abs(now - before).max() <= 2:
            return now
        before = now
    pytest.fail("the picture does not come to rest")


def share(pixels: Pixels, rgb: tuple[int, int, int]) -> float:
    """Which part of the pixels has nearly this colour."""
    return float((np.abs(pixels - np.array(rgb)).max(-1) < 60).mean())


def place(pixels: Pixels, rgb: tuple[int, int, int]) -> tuple[float, float]:
    """Mean column and row, in the window, of the pixels with nearly this colour."""
    rows, columns = np.nonzero(np.abs(pixels - np.array(rgb)).max(-1) < 60)
    return float(columns.mean()) + FREE[1].start, float(rows.mean()) + FREE[0].start


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def page(browser_page: Any) -> Any:
    browser_page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    return browser_page


def first_camera(example: Example) -> Cameras:
    """The first camera with its picture as high as the window, and as wide."""
    cameras = example.capture.cameras
    assert cameras is not None
    camera = cameras.select([0]).resized(torch.tensor([800]), torch.tensor([HEIGHT]))
    camera.Ks[:, 0, 2], camera.width[:] = WIDTH / 2, WIDTH
    return camera


def test_page_shows_what_the_rasteriser_renders(page: Any, example: Example) -> None:
    outside = watch_requests(page)
    with Viewer(example.gaussians, example.capture, port=0) as viewer:
        page.goto(viewer.url)
        wait_for(page, lambda pixels: share(pixels, RED) > 0.01 and share(pixels, BLUE) > 0.01)
        pixels = wait_until_still(page)
    assert outside == []

    # Red is on the left, blue on the right, green above: nothing is mirrored or upside down.
    red, green, blue = (place(pixels, colour) for colour in (RED, GREEN, BLUE))
    assert red[0] < green[0] < blue[0]
    assert green[1] < min(red[1], blue[1])

    with torch.no_grad():
        rendered = render_camera(example.gaussians, first_camera(example))[0]
    expected = 255 * rendered.clamp(0, 1).numpy()[FREE]
    error = np.mean((pixels - expected) ** 2)
    assert 10 * np.log10(255**2 / error) > 25


def test_visitors_move_and_hide_things(page: Any, example: Example) -> None:
    with Viewer(example.gaussians, example.capture, port=0) as viewer:
        page.goto(viewer.url)
        wait_for(page, lambda pixels: share(pixels, RED) > 0.01)
        first = wait_until_still(page)

        page.mouse.move(500, 500)
        page.mouse.down()
        page.mouse.move(600, 500, steps=5)
        page.mouse.up()
        orbited = wait_until_still(page)
        assert place(orbited, RED)[0] > place(first, RED)[0] + 20  # the scene follows the hand
        assert share(orbited, RED) > 0.01

        page.get_by_role("button", name="Reset view").click()
        wait_for(page, lambda pixels: bool(np.abs(pixels - first).mean() < 2))

        page.mouse.move(500, 500)
        page.keyboard.down("w")
        wait_for(page, lambda pixels: share(pixels, RED) > 1.3 * share(first, RED))
        page.keyboard.up("w")

        page.get_by_label("Splats", exact=True).click()
        wait_for(page, lambda pixels: share(pixels, RED) < 1e-4)
        page.get_by_label("Points", exact=True).click()
        wait_for(page, lambda pixels: share(pixels, (255, 255, 255)) > 1e-3)


def test_photos_hang_where_they_were_taken(page: Any, example: Example) -> None:
    yellow, magenta = (255, 255, 0), (255, 0, 255)
    with Viewer(example.gaussians, example.capture, port=0) as viewer:
        page.goto(viewer.url)
        wait_for(page, lambda pixels: share(pixels, RED) > 0.01)
        page.mouse.move(500, 500)
        for _ in range(12):
            page.mouse.wheel(0, 200)  # away, until the other cameras come into view
        shown = wait_for(page, lambda pixels: share(pixels, yellow) > 5e-4)
        assert place(shown, yellow)[1] < place(shown, magenta)[1]  # upright

        photo = np.abs(shown - np.array(yellow)).max(-1) < 60
        rows, columns = np.nonzero(photo & (np.arange(photo.shape[1]) < WIDTH / 2))
        page.mouse.click(float(np.median(columns)), FREE[0].start + float(np.median(rows)))
        # Now the eye is in the left camera (whose frustum is out of the way): the middle is in the middle.
        wait_for(page, lambda pixels: share(pixels, RED) > 0.01)
        (client,) = viewer._server.get_clients().values()
        cameras, frame = example.capture.cameras, viewer._frame
        assert cameras is not None and frame is not None
        np.testing.assert_allclose(client.camera.position, frame.place(cameras.centers)[1], atol=1e-3)
        np.testing.assert_allclose(client.camera.look_at, frame.place(torch.tensor([CENTER]))[0], atol=0.2)

        page.get_by_role("button", name="Reset view").click()
        page.mouse.move(500, 500)
        for _ in range(12):
            page.mouse.wheel(0, 200)
        wait_for(page, lambda pixels: share(pixels, yellow) > 5e-4)
        page.get_by_label("Cameras", exact=True).click()
        wait_for(page, lambda pixels: share(pixels, yellow) == 0)


def test_scene_appears_while_it_trains(page: Any, example: Example) -> None:
    with Viewer(port=0) as viewer:
        page.goto(viewer.url)
        page.get_by_text("Waiting for the first Gaussians").wait_for()
        viewer.show_capture(example.capture)
        viewer.update(blob((-1.5, 0, 0), RED, 20), "step 1")
        few = wait_for(page, lambda pixels: share(pixels, RED) > 1e-3)
        page.get_by_text("step 1").wait_for()
        viewer.update(example.gaussians, "step 2")
        wait_for(page, lambda pixels: share(pixels, BLUE) > 0.01 and share(pixels, RED) > share(few, RED))
        page.get_by_text("step 2").wait_for()
