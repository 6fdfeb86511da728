"""Photos as a pinhole camera would have taken them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from firstlight.errors import InputError
from firstlight.poses._lens import Floats, Lens
from firstlight.poses._panorama import cut_panoramas
from firstlight.scene import Cameras, Capture, DepthPicture, Photo, Picture

# Half the diagonal of a picture made from a fisheye's: beyond 60° a pinhole shows mostly stretched pixels.
_WIDEST = np.tan(np.deg2rad(60.0))


def undistort(capture: Capture) -> Capture:
    """The same capture with pinhole cameras; photos are warped when they are decoded.

    A lens keeps its picture size, principal point and ratio of focal lengths. The focal length is the
    smallest for which every pixel of the new picture comes from inside the photo, so no border is left
    black, between a quarter and four times the old; pictures from fisheye lenses are at most 120° from
    corner to corner. Where a limit leaves pixels without source, a mask ignores them.

    Panoramas become the six faces of a cube, 90° × 90° each, as fine in their middle as the panorama; a face
    is called ``NAME/front.jpg`` and has the panorama's name as its ``group``. Panoramas' depths are dropped.

    A capture that is undistorted already is given back as it is. ValueError without cameras; InputError for
    cameras that no pinhole can stand for (orthographic ones).
    """
    cameras = capture.cameras
    if cameras is None:
        raise ValueError("the capture has no cameras")
    if cameras.undistorted:
        return capture
    if cameras.model == "equirectangular":
        return cut_panoramas(capture)
    if cameras.model == "orthographic":
        raise InputError("Orthographic cameras cannot be undistorted to pinhole cameras.")
    lenses = lenses_of(cameras)
    pinholes = [pinhole_for(lens) for lens in lenses]
    photos = [
        _warped(photo, lens, pinhole)
        for photo, lens, pinhole in zip(capture.photos, lenses, pinholes, strict=True)
    ]
    Ks = torch.tensor([[[p.fx, 0, p.cx], [0, p.fy, p.cy], [0, 0, 1]] for p in pinholes], dtype=torch.float64)
    plain = replace(cameras, Ks=Ks.to(cameras.Ks), model="pinhole", distortion=None)
    return replace(capture, photos=photos, cameras=plain)


def lenses_of(cameras: Cameras) -> list[Lens]:
    """One for each camera; equal ones are equal."""
    distortion = torch.zeros(len(cameras), 8) if cameras.distortion is None else cameras.distortion
    rows = zip(
        cameras.Ks.double().tolist(),
        distortion.double().tolist(),
        cameras.width.tolist(),
        cameras.height.tolist(),
        strict=True,
    )
    return [
        Lens(cameras.model, K[0][0], K[1][1], K[0][2], K[1][2], tuple(bent), width, height)
        for K, bent, width, height in rows
    ]


@lru_cache(maxsize=1024)
def pinhole_for(lens: Lens) -> Lens:
    """The pinhole camera that stands for a lens; the rule is in ``undistort``."""
    plain = replace(lens, model="pinhole", distortion=(0.0,) * 8)
    if lens == plain:
        return lens
    border = _border(lens)
    low, high = np.log(0.25), np.log(4.0)
    if not _all_inside(lens, border, np.exp(high)):
        low = high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if _all_inside(lens, border, np.exp(middle)) else (middle, high)
    scale = float(np.exp(high))
    return replace(plain, fx=lens.fx * scale, fy=lens.fy * scale)


def _border(lens: Lens) -> Floats:
    """Centres of the outermost pixels [N, 2]."""
    x, y = np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5
    rows = [np.stack([x, np.full_like(x, edge)], -1) for edge in (y[0], y[-1])]
    columns = [np.stack([np.full_like(y, edge), y], -1) for edge in (x[0], x[-1])]
    return np.concatenate(rows + columns)


def _all_inside(lens: Lens, pixels: Floats, scale: float) -> bool:
    x, y = (pixels[:, 0] - lens.cx) / (scale * lens.fx), (pixels[:, 1] - lens.cy) / (scale * lens.fy)
    if lens.model == "fisheye" and np.hypot(x, y).max() > _WIDEST:
        return False
    return bool(_inside(lens, *lens.project(x, y)).all())


def _inside(lens: Lens, xy: Floats, seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return seen & (xy >= 0).all(-1) & (xy <= lens.size).all(-1)


class _Warp(NamedTuple):
    x: npt.NDArray[np.float32]  # [H, W] where in the photo each pixel comes from, first centre at 0
    y: npt.NDArray[np.float32]
    sourced: npt.NDArray[np.uint8] | None  # [H, W] 255 where that is inside the photo; None: everywhere


@lru_cache(maxsize=4)  # a warp is as large as several photos, and most captures have one lens
def _warp(lens: Lens, pinhole: Lens) -> _Warp:
    column, row = np.meshgrid(np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5)
    x, y = (column - pinhole.cx) / pinhole.fx, (row - pinhole.cy) / pinhole.fy
    xy, seen = lens.project(x, y)
    sourced = np.where(_inside(lens, xy, seen), 255, 0).astype(np.uint8)
    maps = (xy - 0.5).astype(np.float32)
    return _Warp(maps[..., 0], maps[..., 1], None if sourced.all() else sourced)


def _warped(photo: Photo, lens: Lens, pinhole: Lens) -> Photo:
    if lens == pinhole:
        return photo
    return replace(
        photo,
        decode=partial(_warp_picture, photo, lens, pinhole),
        focal=pinhole.fx,
        depth=None if photo.depth is None else partial(_warp_depth, photo.depth, lens, pinhole),
        confidence=None
        if photo.confidence is None
        else partial(_warp_depth, photo.confidence, lens, pinhole),
    )


def _warp_picture(photo: Photo, lens: Lens, pinhole: Lens) -> Picture:
    picture, warp = photo.decode(), _warp(lens, pinhole)
    rgb = cv2.remap(picture.rgb, warp.x, warp.y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    mask = warp.sourced
    if picture.mask is not None:
        kept = cv2.remap(picture.mask, warp.x, warp.y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        mask = np.asarray(kept, np.uint8) if mask is None else np.minimum(kept, mask).astype(np.uint8)
    return Picture(np.asarray(rgb, np.uint8), mask)


def _warp_depth(known: DepthPicture, lens: Lens, pinhole: Lens) -> npt.NDArray[np.float32]:
    """Nearest, because an average across an edge is a depth at which nothing stands."""
    warp = _warp(lens, pinhole)
    depth = cv2.remap(known(), warp.x, warp.y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(depth if warp.sourced is None else np.where(warp.sourced > 0, depth, 0), np.float32)
