"""Panoramas as the six faces of a cube."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firstlight.scene import Cameras, Capture, Photo, Picture, Points

_FACES = ("front", "right", "back", "left", "up", "down")
# Rows: right, down and forward of each face, in the axes of the panorama (x right, y down, z ahead).
_TURNS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0, -1], [0, 1, 0], [1, 0, 0]],
        [[-1, 0, 0], [0, 1, 0], [0, 0, -1]],
        [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
        [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    ],
    np.float64,
)
_SEAM = 2  # columns of the other edge that interpolation across the seam needs


def cut_panoramas(capture: Capture) -> Capture:
    """Every panorama of a posed capture becomes six pinhole photos that see the whole sphere between them.

    Directions fall on exactly one face each, so a point seen in a panorama is seen in one of its faces.
    """
    assert capture.cameras is not None
    test_names = capture.test_names
    if test_names is not None:
        test_names = frozenset(face_name(name, face) for name in test_names for face in _FACES)
    return replace(
        capture,
        photos=[_face(photo, i) for photo in capture.photos for i in range(len(_FACES))],
        cameras=_face_cameras(capture.cameras),
        points=None if capture.points is None else _on_faces(capture.points, capture.cameras),
        test_names=test_names,
    )


def face_name(panorama: str, face: str) -> str:
    return f"{panorama}/{face}.jpg"


def face_size(width: int) -> int:
    """Pixels of a 90° side that is as fine in its middle as a panorama ``width`` pixels wide."""
    return max(1, round(width / np.pi))


def _face(panorama: Photo, i: int) -> Photo:
    size = face_size(panorama.width)
    return replace(
        panorama,
        name=face_name(panorama.name, _FACES[i]),
        width=size,
        height=size,
        decode=partial(_cut, panorama, i),
        focal=size / 2,
        group=panorama.group or panorama.name,
        panorama=False,
        depth=None,
        confidence=None,
    )


def _cut(panorama: Photo, i: int) -> Picture:
    picture = panorama.decode()
    x, y = _maps(panorama.width, panorama.height, i)
    rgb = cv2.remap(_with_seam(picture.rgb), x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if picture.mask is None:
        return Picture(np.asarray(rgb, np.uint8))
    mask = cv2.remap(_with_seam(picture.mask), x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return Picture(np.asarray(rgb, np.uint8), np.asarray(mask, np.uint8))


def _with_seam(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.copyMakeBorder(image, 0, 0, _SEAM, _SEAM, cv2.BORDER_WRAP), np.uint8)


@lru_cache(maxsize=len(_FACES))
def _maps(width: int, height: int, i: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Where in a panorama with seams each pixel of a face comes from, first centre at 0."""
    size = face_size(width)
    step = (np.arange(size) + 0.5) / (size / 2) - 1
    column, row = np.meshgrid(step, step)
    rays = np.stack([column, row, np.ones_like(row)], -1) @ _TURNS[i]  # in the panorama's axes
    xy = equirectangular_pixels(rays, width, height) - 0.5
    return (xy[..., 0] + _SEAM).astype(np.float32), xy[..., 1].astype(np.float32)


def equirectangular_pixels(rays: npt.NDArray[np.float64], width: int, height: int) -> npt.NDArray[np.float64]:
    """Directions [..., 3] → pixels [..., 2] of a panorama whose middle looks along +z."""
    x, y, z = np.moveaxis(rays, -1, 0)
    longitude = np.arctan2(x, z)
    latitude = np.arctan2(y, np.hypot(x, z))
    return np.stack([(longitude / (2 * np.pi) + 0.5) * width, (latitude / np.pi + 0.5) * height], -1)


def _face_cameras(panoramas: Cameras) -> Cameras:
    turns = torch.eye(4, dtype=torch.float64).repeat(len(_FACES), 1, 1)
    turns[:, :3, :3] = torch.from_numpy(_TURNS)
    viewmats = turns[None] @ panoramas.viewmats.double()[:, None]  # [C, 6, 4, 4]
    size = torch.tensor([face_size(width) for width in panoramas.width.tolist()]).repeat_interleave(6)
    Ks = torch.eye(3, dtype=torch.float64).repeat(len(size), 1, 1)
    Ks[:, 0, 0] = Ks[:, 1, 1] = Ks[:, 0, 2] = Ks[:, 1, 2] = size / 2
    return Cameras(viewmats.flatten(0, 1).to(panoramas.viewmats), Ks.to(panoramas.Ks), size, size.clone())


def _on_faces(points: Points, panoramas: Cameras) -> Points:
    """The tracks, each observation on the face that looks its way."""
    viewmats = panoramas.viewmats.double()[points.track_photo]
    xyz = points.xyz.double()[points.track_point]
    rays = (viewmats[:, :3, :3] @ xyz[..., None]).squeeze(-1) + viewmats[:, :3, 3]
    return replace(points, track_photo=len(_FACES) * points.track_photo + _face_of(rays))


def _face_of(rays: Tensor) -> Tensor:
    """Index of the face that each direction [N, 3] falls on."""
    ahead = torch.from_numpy(_TURNS[:, 2])  # [6, 3]
    return (rays @ ahead.T).argmax(-1)
