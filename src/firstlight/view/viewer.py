"""A page in the browser that shows a scene, finished or while it trains."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from typing import Any

from firstlight.scene import Capture, Gaussians
from firstlight.view.frusta import thumbnail
from firstlight.view.page import Page
from firstlight.view.server import HOST, start_server, stop_server
from firstlight.view.splats import to_splats

REST = 4  # times as long as drawing took


class Viewer:
    """Serves a page on 127.0.0.1 until ``close``: splats, sparse points, cameras with their photos.

    ``text`` stands in the panel under the number of Gaussians. Another port is taken where ``port`` is in
    use: see ``url``. Every method may be called from any thread. InputError when ``port`` is none.
    """

    def __init__(
        self,
        gaussians: Gaussians | None = None,
        capture: Capture | None = None,
        *,
        title: str = "firstlight",
        text: str = "",
        port: int = 8080,
    ) -> None:
        self._lock = threading.RLock()  # over the page, and all below
        self._changed = threading.Condition(self._lock)
        self._closed = threading.Event()
        self._news: tuple[Gaussians, str | None] | None = None  # what the last update brought, not drawn yet
        self._server = start_server(port, title)
        atexit.register(self.close)
        self._page = Page(self._server, text, self._while_open)
        self._server.on_client_connect(lambda client: self._welcome())
        if gaussians is not None or capture is not None:
            self._settle(gaussians, capture)
        if gaussians is not None:
            self._draw(gaussians, None)
        threading.Thread(target=self._follow, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.get_port()}"

    def update(self, gaussians: Gaussians, text: str | None = None) -> None:
        """Show these Gaussians and, where given, another ``text``. Nothing once closed.

        Takes a copy and returns: a thread of its own draws the latest copy, when somebody looks, and rests
        four times as long as that took, so that training goes on.
        """
        first = gaussians.sh[:, :1]  # all that the page can show of the colours
        copy = Gaussians(
            gaussians.means, gaussians.quats, gaussians.log_scales, gaussians.logit_opacities, first
        ).clone()
        with self._changed:
            self._news = (copy, text)
            self._changed.notify_all()

    def show_capture(self, capture: Capture) -> None:
        """Take cameras and points from ``capture``, and look at the scene from its first camera.

        For scenes that train: the page may be open before the cameras are known. Splats stay away until
        the next ``update``. Nothing once closed.
        """
        with self._lock:
            if not self._closed.is_set():
                self._news = None
                self._settle(None, capture)

    def wait(self) -> None:
        """Return when the viewer is closed; Ctrl-C closes it."""
        try:
            while not self._closed.wait(0.5):
                pass
        except KeyboardInterrupt:
            self.close()

    def close(self) -> None:
        """Stop serving and free the port. Closing again does nothing."""
        with self._changed:
            if self._closed.is_set():
                return
            self._closed.set()
            self._changed.notify_all()
        atexit.unregister(self.close)
        stop_server(self._server)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _while_open(self, call: Callable[[], None]) -> None:
        """What visitors ask for, one after the other; nothing once closed."""
        with self._lock:
            if not self._closed.is_set():
                call()

    def _wait_for(self, what: Callable[[], bool]) -> bool:
        """Wait until then; False when the viewer is closed before."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed.is_set() or what())
        return not self._closed.is_set()

    def _welcome(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _is_visited(self) -> bool:
        return len(self._server.get_clients()) > 0

    def _settle(self, gaussians: Gaussians | None, capture: Capture | None) -> None:
        self._page.settle(gaussians, capture)
        if capture is not None:
            frusta = self._page.frusta
            threading.Thread(target=self._hang_photos, args=(capture, frusta), daemon=True).start()

    def _follow(self) -> None:
        """Draw what updates bring, while there is somebody to see it (and the first, to be ready)."""
        while self._wait_for(self._has_work):
            began = time.monotonic()
            with self._lock:
                news, self._news = self._news, None
            if news is not None:
                self._draw(*news)
            self._closed.wait(REST * (time.monotonic() - began))

    def _has_work(self) -> bool:
        return self._news is not None and (self._page.splats is None or self._is_visited())

    def _draw(self, gaussians: Gaussians, text: str | None) -> None:
        with self._lock:
            if self._page.frame is None:
                self._settle(gaussians, None)
            frame = self._page.frame
        assert frame is not None
        splats = to_splats(gaussians, frame)  # outside the lock: whoever trains must not wait for this
        with self._lock:
            if frame is self._page.frame and not self._closed.is_set():  # else it was for another scene
                self._page.draw(splats, text)

    def _hang_photos(self, capture: Capture, frusta: dict[int, Any]) -> None:
        """Put photos on frusta, once there is somebody to see them: decoding takes time from a fit."""
        if not self._wait_for(self._is_visited):
            return
        for index, frustum in frusta.items():
            picture = thumbnail(capture.photos[index])
            with self._lock:
                if self._closed.is_set() or frusta is not self._page.frusta:
                    return
                if picture is not None:
                    frustum.image = picture
