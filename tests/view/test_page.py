"""The page in a real Chromium, from its server. Long visits, because it is the loading that takes time."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from firstlight.scene import Gaussians
from firstlight.view import Viewer
from firstlight.view.stage import Exhibit, Stage
from tests.browser import watch_requests
from tests.scenes import random_gaussians
from tests.view.conftest import CENTER, Example, blob
from tests.view.pages import (
    BLUE,
    GREEN,
    PICTURE,
    RED,
    Pixels,
    decibels,
    look,
    place,
    rasterised,
    settle,
    settled_look,
    share_of,
    spot,
    visit,
    wait_for,
)

pytestmark = pytest.mark.browser


def shaded(example: Example) -> Gaussians:
    """The heaps, elongated, turned and with colours that depend on the direction of view."""
    scene = example.gaussians.with_degree(3)
    odd = random_gaussians(len(scene))
    scene.sh[:, 1:] = 0.5 * odd.sh[:, 1:]
    return Gaussians(
        scene.means, odd.quats, scene.log_scales + 0.7 * odd.log_scales, odd.logit_opacities + 2, scene.sh
    )


def test_visit(browser_page: Any, example: Example) -> None:
    page, outside = browser_page, watch_requests(browser_page)
    gaussians = shaded(example)
    with Viewer(gaussians, example.capture, port=0) as viewer:
        complaints = visit(page, viewer.url)
        first = settled_look(page)
        # Red is on the left, blue on the right, green above: nothing is mirrored or upside down.
        red, green, blue = (place(first, colour) for colour in (RED, GREEN, BLUE))
        assert red[0] < green[0] < blue[0] and green[1] < min(red[1], blue[1])
        assert decibels(first, rasterised(page, gaussians)) > 30
        drag_and_walk(page, first, gaussians)
        stand_where_photos_were_taken(page, example)
        follow_a_link(page, viewer.url)
        show_and_hide(page)
        crop(page)
        measure(page)
        take_a_picture(page, gaussians)
    assert outside == [] and complaints == []


def drag_and_walk(page: Any, first: Pixels, gaussians: Gaussians) -> None:
    page.mouse.move(100, 250)
    page.mouse.down()
    page.mouse.move(150, 250, steps=4)
    page.mouse.up()
    orbited = settled_look(page)
    assert view_of(page)[0][0] < CENTER[0] - 1  # the scene follows the hand: the eye goes the other way
    assert np.abs(orbited - first).mean() > 0.5
    assert decibels(orbited, rasterised(page, gaussians)) > 30  # the harmonics from here, the order from here

    page.get_by_role("button", name="Reset view").click()
    assert np.abs(settled_look(page) - first).max() <= 2

    page.mouse.click(5, 5)
    page.keyboard.down("s")  # backwards, which however slow the browser is cannot go past the scene
    wait_for(page, lambda pixels: 1e-4 < share_of(pixels, RED) < 0.8 * share_of(first, RED))
    page.keyboard.down("Control")
    page.keyboard.up("s")
    page.keyboard.up("Control")
    assert page.evaluate("() => firstlight.panes[0].controls.pressed.size") == 0
    page.mouse.move(100, 250)
    far = settled_look(page)
    page.mouse.wheel(0, -300)
    wait_for(page, lambda pixels: share_of(pixels, RED) > 1.1 * share_of(far, RED))


def view_of(page: Any) -> tuple[list[float], list[float]]:
    """Position and target of the eye, scene units."""
    numbers = [float(number) for number in page.evaluate("() => firstlight.viewText()").split(",")]
    return numbers[:3], numbers[3:6]


def stand_where_photos_were_taken(page: Any, example: Example) -> None:
    cameras = example.capture.cameras
    assert cameras is not None
    page.get_by_label("Go to").select_option(label="2.jpg")
    settle(page)
    position, target = view_of(page)
    np.testing.assert_allclose(position, cameras.centers[2], atol=1e-3)
    np.testing.assert_allclose(target, CENTER, atol=0.3)
    page.wait_for_function("() => document.querySelector('#photo').naturalWidth === 480")
    assert example.decoded == ["2.jpg"]
    page.mouse.move(200, 150)
    page.mouse.wheel(0, 30)
    assert page.evaluate("() => firstlight.stoodIn") == -1  # so that it can be seen and chosen again
    assert page.get_by_label("Go to").input_value() == "0" and not page.locator("#photo").is_visible()

    page.get_by_role("button", name="Reset view").click()
    page.get_by_label("Cameras", exact=True).check()
    for _ in range(4):
        page.mouse.move(200, 150)
        page.mouse.wheel(0, 300)
    page.wait_for_function("() => firstlight.panes[0].view.distance > 13")  # e^0.3 times as far each
    settle(page)
    x, y, depth = page.evaluate(
        "() => firstlight.panes[0].view.project(firstlight.state.cameras[3].position,"
        "...firstlight.panes[0].size)"
    )
    assert depth > 0
    page.mouse.click(x, y)
    settle(page)
    np.testing.assert_allclose(view_of(page)[0], cameras.centers[3], atol=1e-3)
    page.get_by_label("Cameras", exact=True).uncheck()

    page.get_by_label("Place on the captured path").fill("2")
    np.testing.assert_allclose(view_of(page)[0], cameras.centers[2], atol=1e-3)
    page.get_by_role("button", name="Fly along").click()
    page.mouse.move(200, 150)
    page.mouse.wheel(0, 30)
    assert not page.evaluate("() => firstlight.flight.on")
    page.get_by_role("button", name="Fly along").click()
    page.wait_for_function("() => firstlight.flight.t === 3 && !firstlight.flight.on", timeout=240_000)
    np.testing.assert_allclose(view_of(page)[0], cameras.centers[3], atol=1e-3)


def follow_a_link(page: Any, url: str) -> None:
    page.evaluate("() => { location.hash = 'view=3,-2,2.5,3,-2,7,0,-1,0,70' }")
    page.wait_for_function("() => firstlight.viewText() === '3,-2,2.5,3,-2,7,0,-1,0,70'")
    before = settled_look(page)
    page.get_by_role("button", name="Copy link").click()
    link = page.get_by_label("View link").input_value()
    assert link == f"{url}/#view=3,-2,2.5,3,-2,7,0,-1,0,70"
    page.reload()
    assert np.abs(settled_look(page) - before).max() <= 2
    page.evaluate("() => { location.hash = 'view=nowhere' }")
    page.get_by_role("button", name="Reset view").click()
    settle(page)


def show_and_hide(page: Any) -> None:
    whole = settled_look(page)
    page.get_by_label("Splats", exact=True).uncheck()
    page.wait_for_function("() => !firstlight.panes[0].dirty")
    wait_for(page, lambda pixels: bool((pixels == 0).all()))
    page.get_by_label("Points", exact=True).check()
    wait_for(page, lambda pixels: share_of(pixels, (255, 255, 255)) > 1e-3)
    page.get_by_label("Points", exact=True).uncheck()
    page.get_by_label("Splats", exact=True).check()
    for slider, hidden in (
        ("Opacity from", "0.9"),
        ("Smallest", "0.8"),
        ("Largest", "0.3"),
        ("Draw at", "0.2"),
    ):
        control = page.get_by_label(slider, exact=True)
        usual = control.input_value()
        control.fill(hidden)
        assert 0 < settled_look(page).sum() < 0.8 * whole.sum(), slider
        control.fill(usual)
    assert np.abs(settled_look(page) - whole).max() <= 2
    page.get_by_label("Background").fill("#0000ff")
    assert share_of(settled_look(page), BLUE) > 0.3
    page.get_by_label("Background").fill("#000000")


def crop(page: Any) -> None:
    page.get_by_text("Crop", exact=True).click()
    page.get_by_label("Hide what is outside the box").check()
    page.get_by_label("X from").fill("0.5")  # red is on the left
    half = settled_look(page)
    assert share_of(half, RED) == 0 and share_of(half, BLUE) > 5e-4
    low_x = float(page.locator("#crop-box").inner_text().split(",")[0])
    assert low_x == pytest.approx(CENTER[0], abs=0.3)


def measure(page: Any) -> None:
    page.get_by_label("Hide what is outside the box").uncheck()
    page.get_by_text("Measure", exact=True).click()
    page.get_by_label("Click two points").check()
    shown = settled_look(page)
    page.mouse.click(*spot(shown, RED))
    page.get_by_text("Click the other end.").wait_for()
    page.mouse.click(*spot(shown, BLUE))
    page.wait_for_function("() => firstlight.distance !== null")
    assert page.evaluate("() => firstlight.distance") == pytest.approx(3, abs=0.5)  # from heap to heap
    assert "scene units" in page.locator("#distance").inner_text()
    page.mouse.click(5, 5)
    page.get_by_text("Nothing solid there.").wait_for()
    page.get_by_label("Click two points").uncheck()
    settle(page)


def take_a_picture(page: Any, gaussians: Gaussians) -> None:
    page.get_by_label("Opacity from", exact=True).fill("0.5")
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save picture").click()
    saved = np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())).convert("RGB"))
    expected = rasterised(page, gaussians.select(gaussians.opacities >= 0.5))
    assert np.abs(saved.astype(int) - expected).max() <= 1
    assert decibels(look(page), saved) > 30


def test_two_scenes_share_one_eye(browser_page: Any, example: Example) -> None:
    page = browser_page
    red = example.gaussians.select(torch.arange(120))
    stage = Stage([Exhibit(example.gaussians, "all"), Exhibit(red, "red alone")], example.capture)
    with Viewer.of(stage, port=0) as viewer:
        visit(page, viewer.url)
        settle(page)
        half = PICTURE // 2

        def left(pixels: Pixels) -> Pixels:
            return pixels[:, : half - 5]

        def right(pixels: Pixels) -> Pixels:
            return pixels[:, half + 5 :]

        page.get_by_label("Scene 2").get_by_text("red alone").wait_for()
        shown = look(page)
        assert share_of(left(shown), BLUE) > 0.003 and share_of(right(shown), BLUE) == 0
        before = place(left(shown), RED), place(right(shown), RED)

        def drag() -> Pixels:
            page.mouse.move(half + 60, 250)
            page.mouse.down(button="right")
            page.mouse.move(half + 100, 250, steps=4)
            page.mouse.up(button="right")
            return settled_look(page)

        moved = drag()
        shift = [place(part(moved), RED)[0] - was[0] for part, was in zip((left, right), before, strict=True)]
        assert shift[0] > 5 and shift[0] == pytest.approx(shift[1], abs=8)
        page.get_by_label("Move together").uncheck()
        again = drag()
        assert np.abs(left(again) - left(moved)).max() <= 2
        assert place(right(again), RED)[0] > place(right(moved), RED)[0] + 3


def test_a_link_that_was_cut_short_and_a_window_larger_than_pictures(
    browser_page: Any, example: Example
) -> None:
    with Viewer(example.gaussians, example.capture, port=0) as viewer:
        complaints = visit(browser_page, f"{viewer.url}/#view=0,0,-1%2")
        settle(browser_page)
        asked = browser_page.evaluate(
            """async () => {
                const asked = [];
                firstlight.source.picture = async ({ width, height }) => {
                    asked.push(width, height);
                    return new Blob();
                };
                Object.defineProperty(window, "devicePixelRatio", { value: 2 });
                Object.defineProperty(firstlight.panes[0], "size", { value: [3000, 1000] });
                await firstlight.savePictures();
                return asked;
            }"""
        )
        assert asked == [4096, 1365] and complaints == []


def test_scene_appears_while_it_trains(browser_page: Any, example: Example) -> None:
    asked: list[str] = []
    browser_page.on("request", lambda request: asked.append(request.url))
    with Viewer(port=0) as viewer:
        complaints = visit(browser_page, viewer.url)
        browser_page.get_by_text("Waiting for the first Gaussians").wait_for()
        viewer.show_capture(example.capture)
        viewer.update(blob((-1.5, 0, 0), (1, 0, 0), 20), "step 1")
        few = wait_for(browser_page, lambda pixels: share_of(pixels, RED) > 1e-3)
        browser_page.get_by_text("step 1").wait_for()
        viewer.update(example.gaussians, "step 2")
        wait_for(
            browser_page, lambda now: share_of(now, BLUE) > 0.005 and share_of(now, RED) > share_of(few, RED)
        )
        browser_page.get_by_text("step 2").wait_for()
        assert asked.count(f"{viewer.url}/points") == 1  # they have not changed
        viewer.show_capture(example.capture)
        browser_page.get_by_text("Waiting for the first Gaussians").wait_for()
        wait_for(browser_page, lambda now: bool((now == 0).all()))
        viewer.update(example.gaussians, "step 3")
        wait_for(browser_page, lambda now: share_of(now, BLUE) > 0.005)
        assert asked.count(f"{viewer.url}/points") == 2
        assert complaints == []
    browser_page.get_by_text("firstlight has ended").wait_for()  # the server is closed now
    assert share_of(look(browser_page), BLUE) > 0.005  # what is seen stays
