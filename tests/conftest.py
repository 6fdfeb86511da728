"""Fixtures that several rooms use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import pytest

from tests.browser import CHROMIUM_ARGS, find_chromium


@pytest.fixture
def browser_page() -> Iterator[Any]:
    """An empty page of a real headless Chromium (playwright), 800 × 600; skips where there is none.

    Started anew for each test: playwright keeps an event loop in this thread while it lives, which would
    be in the way of tests that run their own.
    """
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium here: install one, or name it in FIRSTLIGHT_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        try:
            page = browser.new_page(viewport={"width": 800, "height": 600})
            page.set_default_timeout(120_000)  # milliseconds; a busy machine draws slowly in software
            yield page
        finally:
            browser.close()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Many tiny kernel calls: waking a second thread for each costs far more than it brings."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)
