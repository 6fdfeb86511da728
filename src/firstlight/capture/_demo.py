"""The capture that comes with firstlight: a path-traced still life, so that there is always something to fit.

How it was made is in ``demo/README.md``. Lengths are metres; everything about it is exact but the rounding
of its pictures: 24 photos on an arc, 8 more pictures from a walk between them, depth for the photos.
"""

from __future__ import annotations

import io
import json
from functools import partial
from importlib.resources import files
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from firstlight.scene import Cameras, Capture, Photo, Picture

_ROOM = files("firstlight.capture") / "demo"
# Where the four stored inverse depths around a pixel differ by more than this share, an edge runs between.
_EDGE = 0.04


def load_demo(with_cameras: bool = False) -> Capture:
    """The 24 photos, as if a camera had just taken them; with ``with_cameras``, exact cameras and depths too.

    Depths are z-depths in metres, 0 in the two-pixel seams along edges, where they are not known.
    """
    known = _read_cameras()
    photos = [_photo("photos", camera["name"], known, with_cameras) for camera in known["photos"]]
    cameras = _cameras("photos", known) if with_cameras else None
    return Capture(photos, layout="built-in demo", cameras=cameras)


def load_demo_path() -> Capture:
    """8 pictures that belong to no photo of `load_demo`, with exact cameras in its world: to hold out."""
    known = _read_cameras()
    photos = [_photo("path", camera["name"], known, False) for camera in known["path"]]
    return Capture(photos, layout="built-in demo, held-out path", cameras=_cameras("path", known))


def _read_cameras() -> dict[str, Any]:
    known: dict[str, Any] = json.loads((_ROOM / "cameras.json").read_text(encoding="utf-8"))
    return known


def _photo(folder: Literal["photos", "path"], name: str, known: dict[str, Any], with_depth: bool) -> Photo:
    width, height = known["width"], known["height"]
    levels = known["depth"]["inverse_depth_levels"]
    depth = partial(_depth, name, width, height, levels) if with_depth else None
    return Photo(name, width, height, partial(_decode, folder, name), lens="demo", depth=depth)


def _decode(folder: str, name: str) -> Picture:
    with Image.open(io.BytesIO((_ROOM / folder / name).read_bytes())) as image:
        return Picture(np.array(image.convert("RGB")))


def _depth(name: str, width: int, height: int, levels: int) -> npt.NDArray[np.float32]:
    """Depth at every pixel from the stored half-size inverse depth; planes come out exact."""
    with Image.open(io.BytesIO((_ROOM / "depth" / name.replace(".webp", ".png")).read_bytes())) as image:
        inverse = np.array(image).astype(np.float32) / np.float32(
            levels
        )  # [h, w] 1 / metres, 0 where there is nothing
    full = cv2.resize(inverse, (width, height), interpolation=cv2.INTER_LINEAR)
    around = [_nearest_four(inverse, width, height, corner) for corner in range(4)]
    low, high = np.minimum.reduce(around), np.maximum.reduce(around)
    known = (low > 0) & (high - low < _EDGE * high)
    return np.asarray(np.where(known, 1 / np.maximum(full, 1e-6), 0), np.float32)


def _nearest_four(
    stored: npt.NDArray[np.float32], width: int, height: int, corner: int
) -> npt.NDArray[np.float32]:
    """For every pixel one of the four samples that bilinear interpolation weighs there [height, width]."""
    rows, columns = stored.shape
    y = np.floor((np.arange(height) + 0.5) * rows / height - 0.5).astype(int) + corner // 2
    x = np.floor((np.arange(width) + 0.5) * columns / width - 0.5).astype(int) + corner % 2
    near: npt.NDArray[np.float32] = stored[np.clip(y, 0, rows - 1)][:, np.clip(x, 0, columns - 1)]
    return near


def _cameras(folder: Literal["photos", "path"], known: dict[str, Any]) -> Cameras:
    viewmats = torch.tensor([camera["viewmat"] for camera in known[folder]], dtype=torch.float32)
    count = len(viewmats)
    return Cameras(
        viewmats=viewmats,
        Ks=torch.tensor(known["K"], dtype=torch.float32).repeat(count, 1, 1),
        width=torch.full((count,), known["width"]),
        height=torch.full((count,), known["height"]),
    )
