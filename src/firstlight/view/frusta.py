"""Cameras on the page, with the photos that they took."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from firstlight.errors import InputError
from firstlight.scene import Capture, Photo
from firstlight.scene.rotation import rotmat_to_quat
from firstlight.view.frame import LOOK_DISTANCE, Frame, fields_of_view

MOST_FRUSTA = 300  # each is an object of its own in the browser
THUMBNAIL = 192  # pixels
WIDEST = math.radians(120)  # a wider frustum has no useful shape


def photos_shown(capture: Capture) -> list[int]:
    """Indices of the photos that get a frustum: all, or evenly spaced ones."""
    count = len(capture) if capture.posed else 0
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, MOST_FRUSTA))}) if count else []


def add_frusta(scene: Any, capture: Capture, frame: Frame) -> dict[int, Any]:
    """One frustum a camera under ``/cameras`` of a viser scene: photo index → its handle, without photos."""
    cameras, shown = capture.cameras, photos_shown(capture)
    if cameras is None or not shown:
        return {}
    positions = frame.place(cameras.centers[shown])
    quats = rotmat_to_quat(cameras.rotations[shown].detach().double().cpu().mT).numpy()  # camera → page
    depth = _depth(positions)
    frusta = {}
    for index, position, wxyz in zip(shown, positions, quats, strict=True):
        fov_x, fov_y = (min(fov, WIDEST) for fov in fields_of_view(cameras, index))
        half_x, half_y = math.tan(fov_x / 2), math.tan(fov_y / 2)
        frusta[index] = scene.add_camera_frustum(
            f"/cameras/{index}",
            fov=fov_y,
            aspect=half_x / half_y,
            scale=depth * math.cbrt(half_x * half_y / 3),  # viser scales by volume
            thickness=1.5,
            thickness_units="screen",
            color=(250, 180, 60),
            wxyz=wxyz,
            position=position,
        )
    return frusta


def _depth(positions: npt.NDArray[np.float32]) -> float:
    """How deep to draw frusta so that neighbours do not run into each other, page units."""
    if len(positions) < 2:
        return LOOK_DISTANCE / 16
    nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
    return float(np.clip(np.median(nearest) / 3, LOOK_DISTANCE / 100, LOOK_DISTANCE / 12))


def thumbnail(photo: Photo) -> npt.NDArray[np.uint8] | None:
    """The photo, small [H, W, 3]; None when it cannot be read (any more): the frustum stays empty then."""
    try:
        return photo.resized(THUMBNAIL).decode().rgb
    except (InputError, OSError):
        return None
