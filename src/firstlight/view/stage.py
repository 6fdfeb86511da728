"""What stands on the page: scenes, cameras, points, and what the page must know of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from firstlight.render import NEAR
from firstlight.scene import Capture, Gaussians
from firstlight.view.frame import LOOK_DISTANCE, Frame, Viewpoint, fields_of_view, frame_scene
from firstlight.view.packing import Packed, pack

Colour = tuple[float, float, float]  # [0, 1]

MOST_CAMERAS = 300  # each is drawn by itself
MOST_POINTS = 200_000


@dataclass(eq=False)
class Exhibit:
    """A scene with its name, and what is known about it in words; none yet while a fit prepares."""

    gaussians: Gaussians | None
    title: str = "scene"
    text: str = ""
    _packed: Packed | None = field(default=None, repr=False)

    def packed(self, frame: Frame) -> Packed | None:
        if self._packed is None and self.gaussians is not None:
            self._packed = pack(self.gaussians, frame)
        return self._packed


@dataclass(eq=False)
class Stage:
    """Scenes that are looked at together, in one frame: that of the first, with its capture's cameras."""

    exhibits: list[Exhibit]
    capture: Capture | None = None
    backdrop: Colour | None = None  # what stands behind everything; by default what the capture says

    @cached_property
    def frame(self) -> Frame:
        return frame_scene(self.exhibits[0].gaussians if self.exhibits else None, self.capture)

    @cached_property
    def photos(self) -> list[int]:
        """Indices of the photos whose cameras are on the page: all, or evenly spaced ones."""
        count = len(self.capture) if self.capture is not None and self.capture.posed else 0
        return (
            sorted({round(i) for i in np.linspace(0, count - 1, min(count, MOST_CAMERAS))}) if count else []
        )

    @property
    def background(self) -> list[float]:
        own = None if self.capture is None else self.capture.background
        return [float(channel) for channel in self.backdrop or own or (0, 0, 0)]

    @property
    def near(self) -> float:
        """The page's near plane in scene units: pictures show what the page does, however small the scene."""
        return NEAR / self.frame.to_page.scale

    def state(self) -> dict[str, Any]:
        """Plain data for the page, in page units."""
        cameras = [self._camera(index) for index in self.photos]
        return {
            "title": " | ".join(exhibit.title for exhibit in self.exhibits),
            "frame": {
                "scale": self.frame.to_page.scale,
                "translation": self.frame.to_page.translation.tolist(),
            },
            "near": NEAR,
            "background": self.background,
            "view": _view(self.frame.first),
            "cameras": cameras,
            "frustum": _depth(np.array([camera["position"] for camera in cameras]).reshape(-1, 3)),
            "points": self._has_points,
            "scenes": [{"title": exhibit.title, "text": exhibit.text} for exhibit in self.exhibits],
        }

    def points(self) -> bytes:
        """Positions [P, 3] float32, then colours [P, 3] uint8."""
        points = None if self.capture is None else self.capture.points
        if points is None:
            return b""
        points = points.select(points.xyz.isfinite().all(1))
        step = max(1, math.ceil(len(points) / MOST_POINTS))
        xyz = self.frame.place(points.xyz[::step]).astype("<f4")
        return xyz.tobytes() + points.rgb[::step].cpu().numpy().astype(np.uint8).tobytes()

    @property
    def _has_points(self) -> bool:
        points = None if self.capture is None else self.capture.points
        return points is not None and bool(points.xyz.isfinite().all(1).any())

    def _camera(self, index: int) -> dict[str, Any]:
        assert self.capture is not None and self.capture.cameras is not None
        cameras = self.capture.cameras
        return {
            "name": self.capture.photos[index].name,
            "position": self.frame.place(cameras.centers[index : index + 1])[0].tolist(),
            "rows": cameras.rotations[index].double().tolist(),  # right, down, forward
            "fov": list(fields_of_view(cameras, index)),
        }


def _view(viewpoint: Viewpoint) -> dict[str, Any]:
    return {
        "position": viewpoint.position.tolist(),
        "target": viewpoint.target.tolist(),
        "up": viewpoint.up.tolist(),
        "fov": [viewpoint.fov_x, viewpoint.fov_y],
    }


def _depth(positions: np.ndarray[Any, Any]) -> float:
    """How deep to draw cameras so that neighbours do not run into each other, page units."""
    if len(positions) < 2:
        return LOOK_DISTANCE / 16
    nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
    return float(np.clip(np.median(nearest) / 3, LOOK_DISTANCE / 100, LOOK_DISTANCE / 12))
