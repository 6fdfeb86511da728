"""What a pycolmap reconstruction says, in firstlight's nouns."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pycolmap
import torch

from firstlight.errors import InputError
from firstlight.scene import CameraModel, Cameras, Points

# Importing pycolmap hands SIGTERM to its logger, which prints a stack trace before it ends the process: the
# signal is given back to whoever had it. Python allows that in the main thread only.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)

# COLMAP's parameter name → column of Cameras.distortion (see there).
_PINHOLE = {"k": 0, "k1": 0, "k2": 1, "p1": 2, "p2": 3, "k3": 4, "k4": 5, "k5": 6, "k6": 7}
_FISHEYE = {"k": 0, "k1": 0, "k2": 1, "k3": 2, "k4": 3}
# Numbers that are larger are damage: no scene is that large, and float32 soon overflows.
FAR = 1e12

_MODELS: dict[str, tuple[CameraModel, dict[str, int]]] = {
    "SIMPLE_PINHOLE": ("pinhole", _PINHOLE),
    "PINHOLE": ("pinhole", _PINHOLE),
    "SIMPLE_RADIAL": ("pinhole", _PINHOLE),
    "RADIAL": ("pinhole", _PINHOLE),
    "OPENCV": ("pinhole", _PINHOLE),
    "FULL_OPENCV": ("pinhole", _PINHOLE),
    "SIMPLE_FISHEYE": ("fisheye", _FISHEYE),
    "FISHEYE": ("fisheye", _FISHEYE),
    "SIMPLE_RADIAL_FISHEYE": ("fisheye", _FISHEYE),
    "RADIAL_FISHEYE": ("fisheye", _FISHEYE),
    "OPENCV_FISHEYE": ("fisheye", _FISHEYE),
    "EQUIRECTANGULAR": ("equirectangular", {}),
}


def read_reconstruction(
    reconstruction: pycolmap.Reconstruction, names: Sequence[str]
) -> tuple[Cameras, Points]:
    """Cameras of the registered images ``names``, in that order, and the points that they saw.

    The tracks of the points count photos by their place in ``names``. ValueError when a name is not a
    registered image; InputError when the camera models cannot be used, or not together.
    """
    return (
        cameras_from_reconstruction(reconstruction, names),
        points_from_reconstruction(reconstruction, names),
    )


def cameras_from_reconstruction(
    reconstruction: pycolmap.Reconstruction, names: Sequence[str], poses: torch.dtype = torch.float32
) -> Cameras:
    """Cameras of the registered images ``names``, in that order; errors as ``read_reconstruction``.

    ``poses`` is what their viewmats come in: float64 for whoever may have to move the origin first.
    """
    by_name = {image.name: image for image in reconstruction.images.values() if image.has_pose}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ValueError(f"not registered in the reconstruction: {', '.join(unknown)}")
    images = [by_name[name] for name in names]
    lenses = {i: _lens(reconstruction.camera(i)) for i in {image.camera_id for image in images}}
    models = {model for model, _, _ in lenses.values()}
    if len(models) > 1:
        raise InputError(
            f"The model mixes {' and '.join(sorted(models))} cameras; one scene takes one kind. "
            "Undistort the photos to pinhole first (colmap image_undistorter), or keep one kind."
        )
    viewmats = np.tile(np.eye(4), (len(images), 1, 1))
    for row, image in zip(viewmats, images, strict=True):
        row[:3] = image.cam_from_world().matrix()
    cameras = [reconstruction.camera(image.camera_id) for image in images]
    distortion = np.array([lenses[image.camera_id][2] for image in images]).reshape(-1, 8)
    return Cameras(
        viewmats=torch.from_numpy(viewmats).to(poses),
        Ks=torch.from_numpy(np.array([lenses[i.camera_id][1] for i in images]).reshape(-1, 3, 3)).float(),
        width=torch.tensor([camera.width for camera in cameras], dtype=torch.long),
        height=torch.tensor([camera.height for camera in cameras], dtype=torch.long),
        model=models.pop() if models else "pinhole",
        distortion=torch.from_numpy(distortion).float() if distortion.any() else None,
    )


def _lens(
    camera: pycolmap.Camera,
) -> tuple[CameraModel, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Kind, K [3, 3] and distortion [8] of one camera."""
    name = camera.model_name
    if name not in _MODELS:
        raise InputError(
            f"Camera {camera.camera_id} has the model {name}, which is not supported "
            f"(supported: {', '.join(_MODELS)}). Undistort the photos first (colmap image_undistorter)."
        )
    kind, columns = _MODELS[name]
    focal = camera.params[camera.focal_length_idxs()]
    if not (np.abs(camera.params) < FAR).all() or (focal <= 0).any() or min(camera.width, camera.height) < 1:
        raise InputError(
            f"Camera {camera.camera_id} of the model has parameters that no lens has "
            f"({camera.width}×{camera.height} pixels, {camera.params_to_string()}). Make the model again."
        )
    distortion = np.zeros(8)
    if kind == "equirectangular":
        return kind, np.eye(3), distortion
    for parameter, value in zip(camera.params_info.split(", "), camera.params, strict=True):
        if parameter in columns:
            distortion[columns[parameter]] = value
    return kind, camera.calibration_matrix(), distortion


def points_from_reconstruction(reconstruction: pycolmap.Reconstruction, names: Iterable[str]) -> Points:
    """The points that the images ``names`` saw, their tracks counting photos by place in ``names``.

    Points without any track (models made from a laser scan have them) stay; points that are not finite,
    or that only other images saw, do not.
    """
    place = {name: i for i, name in enumerate(names)}
    photo_of = {i: place[image.name] for i, image in reconstruction.images.items() if image.name in place}
    rows: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8], float]] = []
    tracks: list[tuple[int, int]] = []
    for number in sorted(reconstruction.point3D_ids()):  # the map itself has no order
        point = reconstruction.point3D(number)
        elements = point.track.elements
        seen = {photo_of[element.image_id] for element in elements if element.image_id in photo_of}
        if (seen or not elements) and (np.abs(point.xyz) < FAR).all():
            tracks += [(len(rows), photo) for photo in sorted(seen)]
            rows.append((point.xyz, point.color, point.error))
    error = torch.tensor([error for _, _, error in rows], dtype=torch.float64)
    track = torch.tensor(tracks, dtype=torch.long).reshape(-1, 2)
    return Points(
        xyz=torch.from_numpy(np.array([xyz for xyz, _, _ in rows], np.float64).reshape(-1, 3)),
        rgb=torch.from_numpy(np.array([rgb for _, rgb, _ in rows], np.uint8).reshape(-1, 3)),
        error=torch.where(error < 0, torch.nan, error),  # COLMAP writes -1 for unknown
        track_point=track[:, 0],
        track_photo=track[:, 1],
    )
