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

WIDTH, HEIGHT = 900, 450  # small: a page in software costs seconds
FREE = 620  # columns that the panel on the right does not cover
Pixels = npt.NDArray[np.int16]  # [h, w, 3]

pytestmark = pytest.mark.browser


def look(page: Any) -> Pixels:
    """What is in the free part of the window now."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(np.int16)[:, :FREE]


def wait_for(page: Any, seen: Callable[[Pixels], bool], seconds: float = 120) -> Pixels:
    """Look until ``seen``; software rendering has no fixed pace."""
    end = time.monotonic() + seconds
    while True:
        pixels = look(page)
        if seen(pixels):
            return pixels
        if time.monotonic() > end:
            pytest.fail("did not come into sight")
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
    return float(alike(pixels, rgb).mean())


def alike(pixels: Pixels, rgb: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(pixels - np.array(rgb)).max(-1) < 60)


def place(pixels: Pixels, rgb: tuple[int, int, int]) -> tuple[float, float]:
    """Mean column and row, in the window, of the pixels with nearly this colour."""
    rows, columns = np.nonzero(alike(pixels, rgb))
    return float(columns.mean()), float(rows.mean())


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
YELLOW, MAGENTA, WHITE = (255, 255, 0), (255, 0, 255), (255, 255, 255)


def visit(page: Any, viewer: Viewer) -> None:
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(viewer.url)
    # The notice that rendering is done in software would be in the picture.
    page.add_style_tag(content=".mantine-Notifications-root { display: none }")


def first_camera(example: Example) -> Cameras:
    """The first camera with its picture as high as the window, and as wide."""
    cameras = example.capture.cameras
    assert cameras is not None
    camera = cameras.select([0]).resized(torch.tensor([HEIGHT * 640 // 480]), torch.tensor([HEIGHT]))
    camera.Ks[:, 0, 2], camera.width[:] = WIDTH / 2, WIDTH
    return camera


def test_visit(browser_page: Any, example: Example) -> None:
    """One long visit rather than many: it is the loading that takes time."""
    outside = watch_requests(browser_page)
    with Viewer(example.gaussians, example.capture, port=0) as viewer:
        visit(browser_page, viewer)
        first = see_what_the_rasteriser_renders(browser_page, example)
        drag_and_walk(browser_page, first)
        visit_the_cameras(browser_page, viewer, example)
        hide_and_show(browser_page)
    assert outside == []


def see_what_the_rasteriser_renders(page: Any, example: Example) -> Pixels:
    wait_for(page, lambda pixels: share(pixels, RED) > 0.01 and share(pixels, BLUE) > 0.01)
    pixels = wait_until_still(page)
    # Red is on the left, blue on the right, green above: nothing is mirrored or upside down.
    red, green, blue = (place(pixels, colour) for colour in (RED, GREEN, BLUE))
    assert red[0] < green[0] < blue[0]
    assert green[1] < min(red[1], blue[1])

    with torch.no_grad():
        rendered = render_camera(example.gaussians, first_camera(example))[0]
    expected = 255 * rendered.clamp(0, 1).numpy()[:, :FREE]
    assert 10 * np.log10(255**2 / np.mean((pixels - expected) ** 2)) > 25
    return pixels


def drag_and_walk(page: Any, first: Pixels) -> None:
    page.mouse.move(300, 400)
    page.mouse.down()
    page.mouse.move(380, 400, steps=4)
    page.mouse.up()
    orbited = wait_until_still(page)
    assert place(orbited, RED)[0] > place(first, RED)[0] + 15  # the scene follows the hand

    page.get_by_role("button", name="Reset view").click()
    wait_for(page, lambda pixels: bool(np.abs(pixels - first).mean() < 2))

    page.keyboard.down("s")  # backwards, which however slow the browser is cannot go past the scene
    wait_for(page, lambda pixels: 1e-4 < share(pixels, RED) < 0.8 * share(first, RED))
    page.keyboard.up("s")


def visit_the_cameras(page: Any, viewer: Viewer, example: Example) -> None:
    page.get_by_role("button", name="Reset view").click()
    page.mouse.move(300, 400)
    for _ in range(12):
        page.mouse.wheel(0, 200)  # away, until the other cameras come into view
    wait_for(page, lambda pixels: share(pixels, YELLOW) > 5e-4)
    shown = wait_until_still(page)
    assert place(shown, YELLOW)[1] < place(shown, MAGENTA)[1]  # upright

    rows, columns = np.nonzero(alike(shown, YELLOW))
    left = columns < place(shown, GREEN)[0] - 30
    page.mouse.click(float(np.median(columns[left])), float(np.median(rows[left])))
    # The eye is where the second photo was taken, and that photo is out of the way.
    wait_for(page, lambda pixels: share(pixels, GREEN) > 2 * share(shown, GREEN))
    wait_until_still(page)
    (client,) = viewer._server.get_clients().values()
    cameras, frame = example.capture.cameras, viewer._page.frame
    assert cameras is not None and frame is not None
    np.testing.assert_allclose(client.camera.position, frame.place(cameras.centers)[1], atol=1e-3)
    np.testing.assert_allclose(client.camera.look_at, frame.place(torch.tensor([CENTER]))[0], atol=0.2)


def hide_and_show(page: Any) -> None:
    page.get_by_role("button", name="Reset view").click()
    page.mouse.move(300, 400)
    for _ in range(12):
        page.mouse.wheel(0, 200)
    wait_for(page, lambda pixels: share(pixels, YELLOW) > 5e-4)
    page.get_by_label("Cameras", exact=True).click()
    wait_for(page, lambda pixels: share(pixels, YELLOW) == 0 and share(pixels, RED) > 1e-3)
    page.get_by_label("Splats", exact=True).click()
    wait_for(page, lambda pixels: share(pixels, RED) == 0)
    page.get_by_label("Points", exact=True).click()
    wait_for(page, lambda pixels: share(pixels, WHITE) > 1e-4)


def test_scene_appears_while_it_trains(browser_page: Any, example: Example) -> None:
    with Viewer(port=0) as viewer:
        visit(browser_page, viewer)
        browser_page.get_by_text("Waiting for the first Gaussians").wait_for()
        viewer.show_capture(example.capture)
        viewer.update(blob((-1.5, 0, 0), (1, 0, 0), 20), "step 1")
        few = wait_for(browser_page, lambda pixels: share(pixels, RED) > 1e-3)
        browser_page.get_by_text("step 1").wait_for()
        viewer.update(example.gaussians, "step 2")
        wait_for(
            browser_page,
            lambda pixels: share(pixels, BLUE) > 0.01 and share(pixels, RED) > share(few, RED),
        )
        browser_page.get_by_text("step 2").wait_for()
