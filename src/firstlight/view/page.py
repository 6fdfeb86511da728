"""What stands on the page, and what visitors do to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from firstlight.scene import Capture, Gaussians
from firstlight.view.frame import Frame, Viewpoint, frame_scene
from firstlight.view.frusta import add_frusta
from firstlight.view.panel import Panel
from firstlight.view.splats import Splats

MOST_POINTS = 200_000


class Page:
    """The scene and the panel of a viser server. Its owner sees to it that one thread at a time is in here:
    what visitors ask for goes through ``guard(call)``."""

    def __init__(self, server: Any, text: str, guard: Callable[[Callable[[], None]], None]) -> None:
        self.server, self.text, self.guard = server, text, guard
        self.capture: Capture | None = None
        self.frame: Frame | None = None
        self.splats: Splats | None = None
        self.frusta: dict[int, Any] = {}  # photo → its frustum
        self.splats_node: Any = None
        self.points_node: Any = None
        self.stood_in: Any = None  # the frustum that is hidden because a visitor's eye is in it
        server.gui.configure_theme(
            dark_mode=True, show_logo=False, show_share_button=False, control_width="small"
        )
        server.scene.world_axes.visible = False
        server.scene.configure_environment_map(None)
        self.panel = panel = Panel(server.gui)
        panel.on_show(lambda: guard(self.show))
        panel.on_adjust(lambda: guard(self.redraw))
        panel.on_background(lambda: guard(self.paint_background))
        panel.on_photo(lambda client, index: guard(lambda: self.go_to(client, index)))
        panel.on_reset(lambda client: guard(lambda: self.reset(client)))
        self.paint_background()
        self.describe()

    def settle(self, gaussians: Gaussians | None, capture: Capture | None) -> None:
        """Decide where the scene lies, and put up what does not change while it trains. No splats yet."""
        for node in (self.splats_node, self.points_node, *self.frusta.values()):
            if node is not None:
                node.remove()
        self.splats = self.splats_node = self.points_node = self.stood_in = None
        self.frusta = {}
        self.capture, self.frame = capture, frame_scene(gaussians, capture)
        self._open_at(self.frame.first)
        if capture is not None:
            self._put_up(capture, self.frame)
        self.panel.offer(points=self.points_node is not None, cameras=bool(self.frusta))
        self.describe()

    def _open_at(self, first: Viewpoint) -> None:
        self.server.scene.set_up_direction(first.up)
        camera = self.server.initial_camera
        camera.position, camera.look_at, camera.up = first.position, first.target, first.up
        camera.fov = first.fov_y
        for client in self.server.get_clients().values():
            _stand(client, first)

    def _put_up(self, capture: Capture, frame: Frame) -> None:
        self.points_node = _add_points(self.server.scene, capture, frame)
        self.frusta = add_frusta(self.server.scene, capture, frame)
        for index, frustum in self.frusta.items():
            frustum.on_click(lambda event, index=index: self.guard(lambda: self.go_to(event.client, index)))
        self.stood_in = self.frusta.get(0)  # where visitors stand first
        self.panel.name_photos({index: capture.photos[index].name for index in self.frusta})
        if capture.background is not None:
            red, green, blue = (round(255 * channel) for channel in capture.background)
            self.panel.background = (red, green, blue)
            self.paint_background()
        self.show()

    def draw(self, splats: Splats, text: str | None = None) -> None:
        """Show ``splats``, and another text where one is given."""
        self.splats = splats
        self.text = self.text if text is None else text
        self.describe()
        self.redraw()

    def redraw(self) -> None:
        """Show what the sliders leave of the splats."""
        if self.splats is None:
            return
        shown = self.splats.shown(self.panel.minimal_opacity, self.panel.size)
        arrays = (shown.centers, shown.covariances, shown.rgbs, shown.opacities)
        if not len(shown):  # viser cannot draw nothing
            if self.splats_node is not None:
                self.splats_node.remove()
                self.splats_node = None
        elif self.splats_node is None:
            self.splats_node = self.server.scene.add_gaussian_splats(
                "/splats", *arrays, visible=self.panel.splats
            )
        else:
            self.splats_node.set_gaussians(*arrays)

    def describe(self) -> None:
        splats = self.splats
        count = "Waiting for the first Gaussians" if splats is None else f"{len(splats):,} Gaussians"
        self.panel.text = f"{count}\n{self.text}".strip()

    def show(self) -> None:
        """Show and hide as the boxes in the panel say."""
        if self.splats_node is not None:
            self.splats_node.visible = self.panel.splats
        if self.points_node is not None:
            self.points_node.visible = self.panel.points
        for frustum in self.frusta.values():
            frustum.visible = self.panel.cameras and frustum is not self.stood_in

    def paint_background(self) -> None:
        colour = np.array(self.panel.background, np.uint8).reshape(1, 1, 3)
        self.server.scene.set_background_image(colour, format="png")

    def go_to(self, client: Any, index: int) -> None:
        """Move a visitor to where photo ``index`` was taken."""
        cameras = None if self.capture is None else self.capture.cameras
        if client is None or cameras is None or self.frame is None or index not in self.frusta:
            return
        self.stood_in = self.frusta[index]
        self.show()
        _stand(client, self.frame.viewpoint(cameras, index))

    def reset(self, client: Any) -> None:
        """Move a visitor back to where everybody stands first."""
        if client is None or self.frame is None:
            return
        self.stood_in = self.frusta.get(0)
        self.show()
        _stand(client, self.frame.first)


def _stand(client: Any, viewpoint: Viewpoint) -> None:
    camera = client.camera
    # As much of the photo as fits into the window, whatever their shapes.
    half_x, half_y = math.tan(viewpoint.fov_x / 2), math.tan(viewpoint.fov_y / 2)
    with client.atomic():
        camera.up_direction = viewpoint.up
        camera.position = viewpoint.position
        camera.look_at = viewpoint.target
        camera.fov = 2 * math.atan(max(half_y, half_x / camera.aspect))


def _add_points(scene: Any, capture: Capture, frame: Frame) -> Any:
    if capture.points is None:
        return None
    points = capture.points.select(capture.points.xyz.isfinite().all(1))
    if not len(points):
        return None
    step = math.ceil(len(points) / MOST_POINTS)
    return scene.add_point_cloud(
        "/points",
        frame.place(points.xyz[::step]),
        points.rgb[::step].cpu().numpy(),
        point_size=0.015,
        point_shape="circle",
        point_shading="flat",
        precision="float32",
    )
