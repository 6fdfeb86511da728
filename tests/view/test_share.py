"""One page in one file, opened from disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstlight.errors import InputError
from firstlight.view import packing, share
from tests.view.conftest import Example
from tests.view.pages import BLUE, RED, decibels, place, rasterised, settled_look, visit
from tests.view.test_opening import write_run
from tests.view.test_page import shaded


@pytest.mark.browser
def test_opens_from_disk_without_a_request(
    browser_page: Any, tmp_path: Path, example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "CHUNK", 4096 // 16)  # two chunks
    page, asked = browser_page, list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    gaussians = example.gaussians = shaded(example)
    shared = share(write_run(tmp_path / "run", example), out=tmp_path / "page.html", sh_bits=8)
    assert shared.path.read_text().count('id="chunk-0-') == 2 and shared.gaussians == 360

    complaints = visit(page, shared.path.as_uri())
    first = settled_look(page)
    assert place(first, RED)[0] < place(first, BLUE)[0]
    assert decibels(first, rasterised(page, gaussians)) > 30
    page.mouse.move(100, 250)
    page.mouse.down()
    page.mouse.move(150, 250, steps=4)
    page.mouse.up()
    orbited = settled_look(page)
    assert np.abs(orbited - first).mean() > 0.5
    assert decibels(orbited, rasterised(page, gaussians)) > 30
    page.get_by_label("Go to").select_option(label="3.jpg")
    settled_look(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save picture").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    assert complaints == []
    assert [url for url in asked if not url.startswith("blob:")] == [shared.path.as_uri()]


def test_tells_nothing_of_this_computer(tmp_path: Path, example: Example) -> None:
    secret = tmp_path / "private-folder"
    run = write_run(tmp_path / "run", example, photos=str(secret))
    text = share(run, out=tmp_path / "page.html").path.read_text()
    assert "private-folder" not in text and str(tmp_path) not in text
    assert "3.jpg" in text
    bare = share(run, out=tmp_path / "bare.html", cameras=False).path.read_text()
    assert "3.jpg" not in bare
    assert not re.search(r"https?://", text)


def test_background_stays_where_cameras_go(tmp_path: Path, example: Example) -> None:
    run = write_run(tmp_path / "run", example, background=[1.0, 1.0, 1.0])
    for cameras in (True, False):
        text = share(run, out=tmp_path / "page.html", cameras=cameras).path.read_text()
        assert '"background":[1.0,1.0,1.0]' in text


def test_second_page_of_a_scene_is_the_first(tmp_path: Path, example: Example) -> None:
    run = write_run(tmp_path / "run", example)
    a, b = (share(run, run, out=tmp_path / name).path.read_bytes() for name in ("a.html", "b.html"))
    assert a == b and a.count(b'id="chunk-1-0"') == 1


def test_scene_that_cannot_be_read_leaves_the_old_page(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")
    with pytest.raises(InputError, match="missing"):
        share(tmp_path / "missing.ply", out=page)
    assert page.read_text() == "old"


def test_a_page_does_not_take_the_place_of_its_scene(tmp_path: Path, example: Example) -> None:
    example.gaussians.save(tmp_path / "scene.ply")
    before = (tmp_path / "scene.ply").read_bytes()
    with pytest.raises(InputError, match=r"ends with \.html"):
        share(tmp_path / "scene.ply", out=tmp_path / "scene.ply")
    assert (tmp_path / "scene.ply").read_bytes() == before


def test_fewer_bits_make_a_smaller_page(tmp_path: Path, example: Example) -> None:
    example.gaussians = shaded(example)
    run = write_run(tmp_path / "run", example)
    sizes = [share(run, out=tmp_path / f"{bits}.html", sh_bits=bits).bytes for bits in (4, 8)]
    assert np.diff(sizes)[0] > 3000


@pytest.mark.browser
def test_page_says_what_is_wrong(browser_page: Any, tmp_path: Path, example: Example) -> None:
    whole = share(write_run(tmp_path / "run", example), out=tmp_path / "page.html").path
    (tmp_path / "cut.html").write_text(whole.read_text()[:-1000])
    visit(browser_page, (tmp_path / "cut.html").as_uri())
    browser_page.get_by_text("This page is cut short").wait_for()
    browser_page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    visit(browser_page, whole.as_uri())
    browser_page.get_by_text("needs WebGL2").wait_for()
