"""Flights through a scene: around what it shows, or through given cameras."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation, RotationSpline

from firstlight.errors import InputError
from firstlight.scene import Cameras
from firstlight.view.frame import Frame, Viewpoint, fields_of_view
from firstlight.view.links import look_from, read_view
from firstlight.view.opening import intrinsics

MOST_KEYS = 100_000


@dataclass(frozen=True, eq=False)
class Flight:
    """Keys that a camera passes, equally long apart: where it stands, how it is turned, how much it sees."""

    positions: npt.NDArray[np.float64]  # [K, 3] scene units
    rotations: npt.NDArray[np.float64]  # [K, 3, 3] world → camera
    fovs: npt.NDArray[np.float64]  # [K, 2] radians, across and down: both must be in the picture

    def __len__(self) -> int:
        return len(self.positions)

    def cameras(self, count: int, width: int, height: int) -> Cameras:
        """``count`` pinhole cameras along the way, from the first key to the last."""
        turns = Rotation.from_matrix(self.rotations)
        keys = np.arange(len(self), dtype=np.float64)
        times = np.linspace(0, len(self) - 1, count)
        if len(self) == 1:
            positions, fovs, along = (
                self.positions.repeat(count, 0),
                self.fovs.repeat(count, 0),
                turns[[0] * count],
            )
        else:
            # Monotone between keys: a camera that stands still does not swing out before it.
            positions, fovs = (
                PchipInterpolator(keys, values)(times) for values in (self.positions, self.fovs)
            )
            along = RotationSpline(keys, turns)(times)
        viewmats = np.tile(np.eye(4), (count, 1, 1))
        viewmats[:, :3, :3] = along.as_matrix()
        viewmats[:, :3, 3] = -(viewmats[:, :3, :3] @ positions[:, :, None])[:, :, 0]
        half_x, half_y = np.tan(fovs / 2).T
        focal = height / (2 * np.maximum(half_y, half_x * height / width))
        Ks = np.tile(np.eye(3), (count, 1, 1))
        Ks[:, 0, 0] = Ks[:, 1, 1] = focal
        Ks[:, 0, 2], Ks[:, 1, 2] = width / 2, height / 2
        size = torch.ones(count, dtype=torch.long)
        return Cameras(torch.tensor(viewmats).float(), torch.tensor(Ks).float(), width * size, height * size)

    @staticmethod
    def through(cameras: Cameras) -> Flight:
        fovs = [fields_of_view(cameras, index) for index in range(len(cameras))]
        return Flight(
            cameras.centers.double().cpu().numpy(), cameras.rotations.double().cpu().numpy(), np.array(fovs)
        )

    @staticmethod
    def orbit(frame: Frame, keys: int = 72) -> Flight:
        """Once around what lies in the middle of the first view, upright; the last key is the first again."""
        first = _in_scene(frame)
        arm = first.position - first.target
        around = [
            Rotation.from_rotvec(first.up * angle).apply(arm)
            for angle in np.linspace(0, 2 * math.pi, keys + 1)
        ]
        eyes = [look_from(Viewpoint(first.target + a, first.target, first.up, 1, 1), 2, 2) for a in around]
        rotations = np.stack([eye.rotations[0].double().numpy() for eye in eyes])
        return Flight(
            first.target + np.stack(around), rotations, np.tile([first.fov_x, first.fov_y], (keys + 1, 1))
        )


def _in_scene(frame: Frame) -> Viewpoint:
    back = frame.to_page.inverse()
    position, target = (
        back.apply(torch.tensor(p)).numpy() for p in (frame.first.position, frame.first.target)
    )
    return Viewpoint(position, target, frame.first.up, frame.first.fov_x, frame.first.fov_y)


def read_flight(path: Path) -> Flight:
    """Keys from a JSON file, in its order. InputError when it holds none.

    It may be ``poses.json`` of a run folder, the ``cameras.json`` of Kerbl et al. 2023, or a list of views
    as text (what 'Copy view' on the page gives).
    """
    try:
        if path.stat().st_size > 500_000_000:
            raise InputError(f"{path}: larger than any list of cameras.")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({error}). Expected a JSON file with cameras.") from error
    shared: dict[str, Any] = data if isinstance(data, dict) else {}
    entries = shared.get("photos", shared.get("frames", [])) if isinstance(data, dict) else data
    if not isinstance(entries, list) or len(entries) > MOST_KEYS:
        raise InputError(f"{path}: expected a list of at most {MOST_KEYS:,} cameras.")
    used = [entry for entry in entries if not (isinstance(entry, dict) and entry.get("placed") is False)]
    if not used:
        raise InputError(f"{path}: holds no camera.")
    try:
        keys = [_key(shared | entry if isinstance(entry, dict) else entry) for entry in used]
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError) as error:
        if isinstance(error, InputError):
            raise InputError(f"{path}: {error}") from error
        raise InputError(
            f"{path}: a camera cannot be understood ({type(error).__name__}: {error}). Expected viewmat "
            "(4×4), K (3×3), width and height; or position, rotation, fx, fy and sizes; or a view as text."
        ) from error
    return Flight(*(np.stack(parts) for parts in zip(*keys, strict=True)))


def _key(entry: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Position [3], rotation world → camera [3, 3], fields of view [2]."""
    if isinstance(entry, str):
        view = read_view(entry)
        eye = look_from(view, 2, 2)
        return view.position, eye.rotations[0].double().numpy(), np.array([0.0, view.fov_y])
    if "viewmat" in entry:
        viewmat, K = np.array(entry["viewmat"], np.float64), np.array(intrinsics(entry), np.float64)
        rotation, focals = viewmat.reshape(4, 4)[:3, :3], (K.reshape(3, 3)[0, 0], K.reshape(3, 3)[1, 1])
        position = -rotation.T @ viewmat[:3, 3]
    else:
        position, rotation = (
            np.array(entry["position"], np.float64),
            np.array(entry["rotation"], np.float64).T,
        )
        focals = float(entry["fx"]), float(entry["fy"])
    sizes = float(entry["width"]), float(entry["height"])
    if not all(focal > 0 and size > 0 for focal, size in zip(focals, sizes, strict=True)):
        raise ValueError("focal lengths and sizes must be positive")
    fov = np.array([2 * math.atan(size / (2 * focal)) for focal, size in zip(focals, sizes, strict=True)])
    if position.shape != (3,) or rotation.shape != (3, 3) or not np.isfinite(position).all():
        raise ValueError("a position of three numbers and a rotation of 3×3 are needed")
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
        raise ValueError("the rotation is none")
    return position, rotation, fov
