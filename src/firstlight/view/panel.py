"""The controls beside the picture."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

NO_PHOTO = "–"
HELP = (
    "Drag to orbit, right-drag to pan, scroll to come closer. Walk with W A S D, down and up with Q E, "
    "turn with the arrow keys. Click a camera to stand where it stood.\n\n"
    "Colours are shown without their dependence on the direction of view."
)


class Panel:
    """Handles of viser's controls behind plain values and callbacks."""

    def __init__(self, gui: Any) -> None:
        self._text = gui.add_markdown("")
        with gui.add_folder("Show"):
            self._splats = gui.add_checkbox("Splats", True)
            self._points = gui.add_checkbox("Points", False)
            self._cameras = gui.add_checkbox("Cameras", True)
            self._background = gui.add_rgb("Background", (0, 0, 0))
        with gui.add_folder("Splats"):
            self._opacity = gui.add_slider("Opacity from", 0.0, 1.0, 0.01, 0.0, hint="Hide fainter splats")
            self._size = gui.add_slider("Size", 0.05, 2.0, 0.05, 1.0)
        with gui.add_folder("Camera"):
            self._photo = gui.add_dropdown("Go to", [NO_PHOTO])
            self._reset = gui.add_button("Reset view")
        with gui.add_folder("Help", expand_by_default=False):
            gui.add_markdown(HELP)
        self._photos: dict[str, int] = {}
        self.offer(points=False, cameras=False)

    @property
    def text(self) -> str:
        return str(self._text.content)

    @text.setter
    def text(self, plain: str) -> None:
        self._text.content = as_markdown(plain)

    @property
    def splats(self) -> bool:
        return bool(self._splats.value)

    @property
    def points(self) -> bool:
        return bool(self._points.value)

    @property
    def cameras(self) -> bool:
        return bool(self._cameras.value)

    @property
    def minimal_opacity(self) -> float:
        return float(self._opacity.value)

    @property
    def size(self) -> float:
        """Splats are drawn this many times as large as they are."""
        return float(self._size.value)

    @property
    def background(self) -> tuple[int, int, int]:
        """In 0 … 255."""
        red, green, blue = self._background.value
        return int(red), int(green), int(blue)

    @background.setter
    def background(self, colour: tuple[int, int, int]) -> None:
        self._background.value = colour

    def offer(self, *, points: bool, cameras: bool) -> None:
        """Let visitors ask only for what there is."""
        self._points.disabled = not points
        self._cameras.disabled = self._photo.disabled = not cameras

    def name_photos(self, names: Mapping[int, str]) -> None:
        """Which photos one can go to: index → name."""
        self._photos = {name: index for index, name in names.items()}
        self._photo.options = [NO_PHOTO, *self._photos]
        self._photo.value = NO_PHOTO

    def on_show(self, call: Callable[[], None]) -> None:
        for box in (self._splats, self._points, self._cameras):
            box.on_update(lambda event: call())

    def on_adjust(self, call: Callable[[], None]) -> None:
        for slider in (self._opacity, self._size):
            slider.on_update(lambda event: call())

    def on_background(self, call: Callable[[], None]) -> None:
        self._background.on_update(lambda event: call())

    def on_photo(self, call: Callable[[Any, int], None]) -> None:
        """``call(client, index)`` when somebody picks a photo."""

        def picked(event: Any) -> None:
            index = self._photos.get(self._photo.value)
            if index is not None:
                call(event.client, index)

        self._photo.on_update(picked)

    def on_reset(self, call: Callable[[Any], None]) -> None:
        """``call(client)`` when somebody presses the button."""
        self._reset.on_click(lambda event: call(event.client))


def as_markdown(plain: str) -> str:
    """Text as Markdown that says just that: names of files must not become markup of the page."""
    escaped = re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", plain)
    return escaped.replace("\n", "  \n")
