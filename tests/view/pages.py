"""Looking at the page in a real browser."""

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

from firstlight.scene import Gaussians
from firstlight.view.links import look_from, read_view
from firstlight.view.pictures import take_picture

WIDTH, HEIGHT = 650, 300  # small: drawing in software costs seconds
PICTURE = 400  # columns that the panel on the right leaves
Pixels = npt.NDArray[np.int16]  # [h, w, 3]

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def visit(page: Any, url: str) -> list[str]:
    """Open the page; returns what it complains of, a list that still fills."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(url)
    return complaints


def settle(page: Any) -> None:
    """Wait until what is drawn is what there is to see, however busy the machine."""
    page.wait_for_function("() => window.firstlight && window.firstlight.settled", timeout=240_000)


def look(page: Any) -> Pixels:
    """What is in the picture's part of the window now."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(np.int16)[:, :PICTURE]


def settled_look(page: Any) -> Pixels:
    settle(page)
    return look(page)


def wait_for(page: Any, seen: Callable[[Pixels], bool], seconds: float = 240) -> Pixels:
    end = time.monotonic() + seconds
    while True:
        pixels = look(page)
        if seen(pixels):
            return pixels
        if time.monotonic() > end:
            pytest.fail("did not come into sight")
        page.wait_for_timeout(100)


def share_of(pixels: Pixels, rgb: tuple[int, int, int]) -> float:
    """Which part of the pixels has nearly this colour."""
    return float(alike(pixels, rgb).mean())


def alike(pixels: Pixels, rgb: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(pixels - np.array(rgb)).max(-1) < 90)


def place(pixels: Pixels, rgb: tuple[int, int, int]) -> tuple[float, float]:
    """Mean column and row of the pixels with nearly this colour."""
    rows, columns = np.nonzero(alike(pixels, rgb))
    return float(columns.mean()), float(rows.mean())


def spot(pixels: Pixels, rgb: tuple[int, int, int]) -> tuple[float, float]:
    """Column and row of a pixel of nearly this colour in the midst of them."""
    rows, columns = np.nonzero(alike(pixels, rgb))
    x, y = place(pixels, rgb)
    nearest = np.hypot(columns - x, rows - y).argmin()
    return float(columns[nearest]), float(rows[nearest])


def rasterised(page: Any, gaussians: Gaussians) -> Pixels:
    """What our rasteriser makes of the view that the page says it shows."""
    text = page.evaluate("() => firstlight.viewText()")
    return take_picture(gaussians, look_from(read_view(text), PICTURE, HEIGHT), torch.zeros(3)).astype(
        np.int16
    )


def decibels(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """PSNR where there is something in either picture: an empty background is no achievement."""
    somewhere = np.maximum(a, b).max(-1) > 8
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b)[somewhere] ** 2)))
