"""A page in the browser that shows a scene, finished or while it trains."""

from __future__ import annotations

import atexit
import math
import threading
from typing import Any

import numpy as np

from firstlight.scene import Capture, Gaussians
from firstlight.view.frame import Frame, Viewpoint, frame_scene
from firstlight.view.frusta import add_frusta, thumbnail
from firstlight.view.panel import Panel
from firstlight.view.server import HOST, start_server, stop_server
from firstlight.view.splats import Splats, to_splats

MOST_POINTS = 200_000


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
        self._lock = threading.RLock()  # over all below
        self._closed = threading.Event()
        self._visited = threading.Event()
        self._capture: Capture | None = None
        self._text = text
        self._frame: Frame | None = None
        self._splats: Splats | None = None
        self._splats_node: Any = None
        self._points_node: Any = None
        self._frusta: dict[int, Any] = {}  # photo → its frustum
        self._stood_in: Any = None  # the frustum that is hidden because a visitor's eye is in it
        self._server = start_server(port, title)
        atexit.register(self.close)
        self._furnish()
        if capture is not None:
            self._settle(gaussians, capture)
        if gaussians is not None:
            self.update(gaussians)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.get_port()}"

    def update(self, gaussians: Gaussians, text: str | None = None) -> None:
        """Show these Gaussians (a copy is taken) and, where given, another ``text``. Nothing once closed.

        The caller is held up only for the conversion, about a microsecond a Gaussian; a page that cannot
        keep up skips states. During training, call it every few seconds.
        """
        with self._lock:
            if self._closed.is_set():
                return
            if self._frame is None:
                self._settle(gaussians, None)
            assert self._frame is not None
            self._splats = to_splats(gaussians, self._frame)
            if text is not None:
                self._text = text
            self._draw()

    def show_capture(self, capture: Capture) -> None:
        """Take cameras and points from ``capture``, and look at the scene from its first camera.

        For scenes that train: the page may be open before the cameras are known. Splats stay away until
        the next ``update``.
        """
        with self._lock:
            if self._closed.is_set():
                return
            if self._splats_node is not None:
                self._splats_node.remove()
                self._splats_node = self._splats = None
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
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
        self._visited.set()  # lets go of the thread that waits for a visitor
        atexit.unregister(self.close)
        stop_server(self._server)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _furnish(self) -> None:
        """What does not need to know where the scene is."""
        server = self._server
        server.gui.configure_theme(
            dark_mode=True, show_logo=False, show_share_button=False, control_width="small"
        )
        server.scene.world_axes.visible = False
        server.scene.configure_environment_map(None)
        self._panel = panel = Panel(server.gui)
        panel.on_show(self._show)
        panel.on_adjust(self._adjust)
        panel.on_background(self._paint_background)
        panel.on_photo(self._go_to)
        panel.on_reset(self._reset)
        self._paint_background()
        server.on_client_connect(lambda client: self._visited.set())
        self._describe()

    def _settle(self, gaussians: Gaussians | None, capture: Capture | None) -> None:
        """Decide where the scene lies on the page, and bring what does not change while it trains."""
        self._capture = capture
        frame = self._frame = frame_scene(gaussians, capture)
        scene, first = self._server.scene, frame.first
        scene.set_up_direction(first.up)
        camera = self._server.initial_camera
        camera.position, camera.look_at, camera.up = first.position, first.target, first.up
        camera.fov = first.fov_y
        for client in self._server.get_clients().values():
            _stand(client, first)
        for node in (self._points_node, *self._frusta.values()):
            if node is not None:
                node.remove()
        self._points_node = self._stood_in = None
        self._frusta = {}
        if capture is not None:
            self._add_capture(capture, frame)

    def _add_capture(self, capture: Capture, frame: Frame) -> None:
        self._points_node = _add_points(self._server.scene, capture, frame)
        self._frusta = add_frusta(self._server.scene, capture, frame)
        for index, frustum in self._frusta.items():
            frustum.on_click(lambda event, index=index: self._go_to(event.client, index))
        self._stood_in = self._frusta.get(0)  # where visitors stand first
        if capture.background is not None:
            red, green, blue = (round(255 * channel) for channel in capture.background)
            self._panel.background = (red, green, blue)
        self._panel.name_photos({index: capture.photos[index].name for index in self._frusta})
        self._show()
        threading.Thread(target=self._hang_photos, args=(capture, self._frusta), daemon=True).start()

    def _hang_photos(self, capture: Capture, frusta: dict[int, Any]) -> None:
        """Put photos on frusta, once there is somebody to see them: decoding takes time from a fit."""
        self._visited.wait()
        for index, frustum in frusta.items():
            if self._closed.is_set() or frusta is not self._frusta:
                return
            picture = thumbnail(capture.photos[index])
            with self._lock:
                if picture is not None and frusta is self._frusta and not self._closed.is_set():
                    frustum.image = picture

    def _draw(self) -> None:
        """Put on the page what the sliders leave of the splats."""
        if self._splats is None:
            return
        self._describe()
        shown = self._splats.shown(self._panel.minimal_opacity, self._panel.size)
        if not len(shown):  # viser cannot draw nothing
            if self._splats_node is not None:
                self._splats_node.visible = False
            return
        arrays = (shown.centers, shown.covariances, shown.rgbs, shown.opacities)
        if self._splats_node is None:
            self._splats_node = self._server.scene.add_gaussian_splats("/splats", *arrays)
        else:
            self._splats_node.set_gaussians(*arrays)
        self._splats_node.visible = self._panel.splats

    def _describe(self) -> None:
        count = (
            "Waiting for the first Gaussians" if self._splats is None else f"{len(self._splats):,} Gaussians"
        )
        self._panel.text = f"{count}\n{self._text}".strip()

    # What visitors do

    def _show(self) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            if self._splats_node is not None and self._splats is not None:
                self._draw()
            if self._points_node is not None:
                self._points_node.visible = self._panel.points
            for frustum in self._frusta.values():
                frustum.visible = self._panel.cameras and frustum is not self._stood_in

    def _adjust(self) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._draw()

    def _paint_background(self) -> None:
        colour = np.array(self._panel.background, np.uint8).reshape(1, 1, 3)
        self._server.scene.set_background_image(colour, format="png")

    def _go_to(self, client: Any, index: int) -> None:
        with self._lock:
            cameras = None if self._capture is None else self._capture.cameras
            if cameras is None or self._frame is None or index not in self._frusta:
                return
            self._stood_in = self._frusta[index]
            self._show()
            if client is not None:
                _stand(client, self._frame.viewpoint(cameras, index))

    def _reset(self, client: Any) -> None:
        with self._lock:
            self._stood_in = self._frusta.get(0)
            self._show()
            if client is not None and self._frame is not None:
                _stand(client, self._frame.first)


def _stand(client: Any, viewpoint: Viewpoint) -> None:
    """Move a visitor's camera."""
    camera = client.camera
    # As much of the photo as fits into the window, whatever their shapes.
    half_x, half_y = math.tan(viewpoint.fov_x / 2), math.tan(viewpoint.fov_y / 2)
    with client.atomic():
        camera.up_direction = viewpoint.up
        camera.position = viewpoint.position
        camera.look_at = viewpoint.target
        camera.fov = 2 * math.atan(max(half_y, half_x / camera.aspect))


def _add_points(scene: Any, capture: Capture, frame: Frame) -> Any:
    if capture.points is None or not len(capture.points):
        return None
    step = math.ceil(len(capture.points) / MOST_POINTS)
    return scene.add_point_cloud(
        "/points",
        frame.place(capture.points.xyz[::step]),
        capture.points.rgb[::step].cpu().numpy(),
        point_size=0.015,
        point_shape="circle",
        point_shading="flat",
        precision="float32",
    )
