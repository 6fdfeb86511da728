"""A page in the browser that shows a scene, finished or while it trains."""

from __future__ import annotations

import atexit
import json
import threading
from typing import Any

import cv2
import torch

from firstlight.errors import InputError
from firstlight.scene import Capture, Gaussians
from firstlight.view.links import look_from, read_view
from firstlight.view.packing import Packed
from firstlight.view.page import as_json, document
from firstlight.view.pictures import LARGEST, Kept, as_png, read_vector, take_picture
from firstlight.view.server import HOST, Answer, Request, Server, say
from firstlight.view.stage import Exhibit, Stage

THUMBNAIL = 480  # pixels
KEPT = 3  # versions of a scene that pages may still be loading while it trains on
NEWS_AFTER = 20.0  # seconds that a page's question for news may stay open

_NOT_HERE = say("There is nothing here.", 404)
_GONE_ON = say("The scene has changed since.", 409)


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
        self._open(Stage([Exhibit(gaussians, title, text)], capture), port, live=True)

    @staticmethod
    def of(stage: Stage, *, port: int = 8080) -> Viewer:
        """A viewer of scenes that are finished, side by side."""
        viewer = Viewer.__new__(Viewer)
        viewer._open(stage, port, live=False)
        return viewer

    def _open(self, stage: Stage, port: int, live: bool) -> None:
        self._changed = threading.Condition()  # over all below
        self._stage, self._live = stage, live
        self._version = self._set = 0  # of anything on the stage; of all but the Gaussians
        self._told: dict[tuple[int, int], Packed] = {}  # by scene and version: chunks that pages may ask for
        self._closed = False
        self._drawing = threading.Lock()  # one picture at a time
        self._server = Server(port, self._answer)
        atexit.register(self.close)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.port}"

    def update(self, gaussians: Gaussians, text: str | None = None) -> None:
        """Show these Gaussians and, where given, another ``text``. Nothing once closed.

        Takes a copy and returns: what the page needs is made when a page asks for it, and pages rest four
        times as long as that took, so that training goes on.
        """
        copy = gaussians.clone()
        with self._changed:
            before = self._stage.exhibits[0]
            shown = Exhibit(copy, before.title, before.text if text is None else text)
            if before.gaussians is None and self._stage.capture is None:  # the first to say where things are
                self._stage, self._set = Stage([shown]), self._set + 1
            else:
                self._stage.exhibits[0] = shown
            self._announce()

    def show_capture(self, capture: Capture) -> None:
        """Take cameras and points from ``capture``, and look at the scene from its first camera.

        For scenes that train: the page may be open before the cameras are known. Splats stay away until
        the next ``update``. Nothing once closed.
        """
        with self._changed:
            before = self._stage.exhibits[0]
            self._stage = Stage([Exhibit(None, before.title, before.text)], capture)
            self._set += 1
            self._announce()

    def wait(self) -> None:
        """Return when the viewer is closed; Ctrl-C closes it."""
        try:
            with self._changed:
                while not self._closed:
                    self._changed.wait(0.5)
        except KeyboardInterrupt:
            self.close()

    def close(self) -> None:
        """Stop serving and free the port. Closing again does nothing."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        atexit.unregister(self.close)
        self._server.close()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _announce(self) -> None:
        self._version += 1
        self._changed.notify_all()

    # What the page asks for

    def _answer(self, request: Request) -> Answer:
        match request.method, request.path.strip("/").split("/"):
            case "GET", [""]:
                page = "".join(document(self._stage.exhibits[0].title))
                return Answer(page.encode(errors="replace"), "text/html; charset=utf-8")
            case "GET", ["state"]:
                return self._tell_state(request.query.get("after"))
            case "GET", ["scene", index]:
                return self._tell_scene(_index(index))
            case "GET", ["scene", index, chunk]:
                return self._send_chunk(
                    _index(index), _index(chunk), _index(request.query.get("version", ""))
                )
            case "GET", ["points"]:
                return Answer(self._stage.points())
            case "GET", ["photo", index]:
                return self._send_photo(_index(index))
            case "POST", ["picture"]:
                return self._draw(request.body)
        return _NOT_HERE

    def _tell_state(self, after: str | None) -> Answer:
        """At once, or as soon as there is something newer than version ``after``."""
        with self._changed:
            if after is not None:
                known = _index(after)
                self._changed.wait_for(lambda: self._closed or self._version > known, NEWS_AFTER)
            about = {"version": self._version, "stage": self._set, "live": self._live, "photos": True}
            return _json(self._stage.state() | about)

    def _tell_scene(self, index: int) -> Answer:
        """What decodes a scene's chunks; null while there is none."""
        with self._changed:
            stage, version = self._stage, self._version
            if index >= len(stage.exhibits):
                raise InputError(f"There is no scene {index}.")
            exhibit = stage.exhibits[index]
        with self._drawing:  # outside the other lock: whoever trains must not wait for this
            packed = exhibit.packed(stage.frame)
        if packed is None:
            return _json(None)
        with self._changed:
            self._told[index, version] = packed
            while len(self._told) > KEPT * len(stage.exhibits):
                del self._told[next(iter(self._told))]
        return _json(packed.header | {"version": version})

    def _send_chunk(self, index: int, chunk: int, version: int) -> Answer:
        with self._changed:
            packed = self._told.get((index, version))
        if packed is None:
            return _GONE_ON
        return Answer(packed.chunk(chunk)) if chunk < packed.chunks else _NOT_HERE

    def _send_photo(self, number: int) -> Answer:
        stage = self._stage
        if stage.capture is None or number >= len(stage.photos):
            return _NOT_HERE
        try:
            rgb = stage.capture.photos[stage.photos[number]].resized(THUMBNAIL).decode().rgb
        except (InputError, OSError):  # moved or removed since
            return _NOT_HERE
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        return Answer(encoded.tobytes(), "image/jpeg")

    def _draw(self, body: bytes) -> Answer:
        """A picture by the rasteriser: scene, view, width, height, background and what is kept."""
        wish = json.loads(body)  # a ValueError is a bad request
        if not isinstance(wish, dict):
            return say("not understood", 400)
        index, width, height = (_small(wish.get(name)) for name in ("scene", "width", "height"))
        viewpoint, kept = read_view(str(wish.get("view"))), Kept.from_plain(wish)
        background = read_vector(wish.get("background", [0, 0, 0]))
        stage = self._stage
        gaussians = stage.exhibits[index].gaussians if index < len(stage.exhibits) else None
        if gaussians is None:
            return say("There is no such scene.", 400)
        with self._drawing:
            camera = look_from(viewpoint, width, height)
            picture = take_picture(kept.of(gaussians), camera, torch.tensor(background), stage.near)
            return Answer(as_png(picture), "image/png")


def _json(data: Any) -> Answer:
    return Answer(as_json(data).encode(), "application/json")


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError("expected a number")
    return int(text)


def _small(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise InputError(f"expected a whole number from 0 to {LARGEST}")
    return value
