"""The report in a real Chromium, from file://, as people open it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from firstlight.evaluate import write_report
from tests.browser import watch_requests
from tests.evaluate.report.folders import HOSTILE, run_folder

pytestmark = pytest.mark.browser

PHOTO, RENDER, ERROR = 40, 20, 250  # the grey of the first photo's pictures


def opened(page: Any, run: Path) -> tuple[list[str], list[str]]:
    """Open the report; returns what it asked for and what it complained of, both lists still filling."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    outside = watch_requests(page)
    page.set_default_timeout(120_000)  # drawn in software, maybe beside other work
    page.goto(write_report(run).as_uri())
    page.wait_for_function(
        "[...document.querySelectorAll('.frame img')].every(i => i.complete && i.naturalWidth)"
    )
    return outside, complaints


def grey(page: Any, fraction: float) -> int:
    """What the stage shows at a fraction of its width, above its middle."""
    shot = cv2.imdecode(np.frombuffer(page.locator(".frame").screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert shot is not None
    height, width, _ = shot.shape
    x, y = round(fraction * width), round(0.3 * height)
    return round(float(shot[y - 2 : y + 3, x - 2 : x + 3].mean()))


def drag(page: Any, start: float, end: float) -> None:
    page.locator(".frame").scroll_into_view_if_needed()
    box = page.locator(".frame").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=4)
    page.mouse.up()


def test_the_slider_drags(browser_page, tmp_path):
    page = browser_page
    outside, complaints = opened(page, run_folder(tmp_path / "run"))
    assert grey(page, 0.2) == pytest.approx(PHOTO, abs=3) and grey(page, 0.8) == pytest.approx(RENDER, abs=3)
    drag(page, 0.5, 0.9)
    assert grey(page, 0.8) == pytest.approx(PHOTO, abs=3) and grey(page, 0.97) == pytest.approx(RENDER, abs=3)
    drag(page, 0.9, 0.1)
    assert grey(page, 0.2) == pytest.approx(RENDER, abs=3) and grey(page, 0.03) == pytest.approx(PHOTO, abs=3)
    assert outside == [] and complaints == []


def test_the_keyboard_does_it_all(browser_page, tmp_path):
    page = browser_page
    opened(page, run_folder(tmp_path / "run"))
    page.locator(".frame input").focus()
    page.keyboard.press("End")
    assert grey(page, 0.8) == pytest.approx(PHOTO, abs=3)
    page.keyboard.press("Home")
    assert grey(page, 0.2) == pytest.approx(RENDER, abs=3)
    page.keyboard.press("Tab")  # previous photo
    page.keyboard.press("Tab")  # next photo
    page.keyboard.press("Enter")
    assert "two.jpg" in page.locator(".now").inner_text()
    page.keyboard.press("Tab")  # what is compared
    page.keyboard.press("ArrowRight")
    assert page.locator(".tag.right").inner_text() == "Error"
    assert grey(page, 0.8) == pytest.approx(ERROR, abs=3)
    page.keyboard.press("Tab")  # first thumbnail
    page.keyboard.press("Enter")
    assert "one.jpg" in page.locator(".now").inner_text()


def test_rows_and_curves_answer(browser_page, tmp_path):
    page = browser_page
    opened(page, run_folder(tmp_path / "run"))
    page.locator("article#photo-2 img").nth(1).click()
    assert "three.jpg PSNR 22.00 dB" in page.locator(".now").inner_text()
    assert page.locator(".film [aria-current]").get_attribute("title") == "three.jpg"

    chart = page.locator(".chart.by-step.c")
    assert chart.locator("output").inner_text() == "5,060 at the end"
    chart.locator("svg").hover()
    assert "steps" in chart.locator("output").inner_text()
    page.mouse.move(0, 0)
    assert chart.locator("output").inner_text() == "5,060 at the end"
    page.locator("label[for=axis-seconds]").click()
    assert not chart.is_visible() and page.locator(".chart.by-seconds.c").is_visible()


def test_hostile_names_neither_run_nor_break_the_layout(browser_page, tmp_path):
    page = browser_page
    outside, complaints = opened(page, run_folder(tmp_path / "run", HOSTILE))
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for place in range(len(HOSTILE)):
        page.locator(".film button").nth(place).click()
    assert page.title() == "banana · firstlight report"
    for width in (1280, 800, 390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert outside == [] and complaints == []


def test_light_and_dark(browser_page, tmp_path):
    page = browser_page
    opened(page, run_folder(tmp_path / "run"))
    shades = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colors = page.evaluate(
            "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
        )
        shades[scheme] = [sum(map(int, c.removeprefix("rgb(").removesuffix(")").split(","))) for c in colors]
    assert shades["light"][0] > 600 > shades["light"][1]
    assert shades["dark"][0] < 150 < 600 < shades["dark"][1]


def test_without_script_every_picture_is_still_there(browser_page, tmp_path):
    path = write_report(run_folder(tmp_path / "run"))
    page = browser_page.context.browser.new_context(java_script_enabled=False).new_page()
    page.goto(path.as_uri())
    assert page.locator("article img").count() == 9
    assert page.locator("article img").first.is_visible()
    assert not page.locator(".stage").is_visible() and not page.locator(".film").is_visible()
