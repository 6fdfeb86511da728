"""A real Chromium for the tests that look at pages."""

from __future__ import annotations

import os
import shutil
from typing import Any
from urllib.parse import urlsplit

CHROMIUM_ARGS = [
    "--no-sandbox",  # containers rarely allow user namespaces
    # WebGL without a graphics card.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    # The browser itself must not talk to anybody either.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]


def find_chromium() -> str | None:
    """The Chromium of this machine: FIRSTLIGHT_CHROMIUM, or the first of the usual names on PATH."""
    named = os.environ.get("FIRSTLIGHT_CHROMIUM")
    if named:
        return shutil.which(named)
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def watch_requests(page: Any) -> list[str]:
    """A list that fills with every address that ``page`` (playwright's) asks for outside this machine."""
    outside: list[str] = []

    def note(request: Any) -> None:
        address = urlsplit(request.url)
        local = address.scheme in ("data", "blob", "file", "about") or address.hostname == "127.0.0.1"
        if not local:
            outside.append(request.url)

    page.on("request", note)
    page.on("websocket", note)
    return outside
