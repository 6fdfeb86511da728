"""Cameras on disk: ``poses.json`` to read, ``poses.safetensors`` to go on from, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from firstlight.errors import InputError
from firstlight.files.atomic import atomic_write
from firstlight.files.tensors import load_tensors, save_tensors
from firstlight.poses._depths import depths_to_scene
from firstlight.poses._placed import Placed, Verdict
from firstlight.scene import CameraModel, Cameras, Capture, Photo, Points, SetAside

_CAMERAS = ("viewmats", "Ks", "width", "height", "distortion")
_CAMERA = ("viewmat", "K", "width", "height", "model", "distortion")  # of a photo in poses.json
_POINTS = ("xyz", "rgb", "error", "track_point", "track_photo")
PLACED_FILE = "poses.safetensors"
_FORMAT = "firstlight poses 1"
_CONVENTION = (
    "viewmat: world to camera, OpenCV axes (x right, y down, z forward); K in pixels, pixel centres at +0.5; "
    "distortion: OpenCV's k1 k2 p1 p2 k3 k4 k5 k6 for pinhole, k1 k2 k3 k4 0 0 0 0 for fisheye"
)


def save_poses(path: Path, placed: Placed) -> None:
    """Write every photo's verdict, and the camera of each that was placed, as JSON.

    ``{"photos": [{"name", "placed", "viewmat": 4×4, "K": 3×3, "width", "height", "model", "distortion": 8
    numbers, "reason", "error_px", "observations", "matches", "partner", "confidence"}], "method",
    "convention"}``; what is not known is null.
    """
    place = {photo.name: i for i, photo in enumerate(placed.capture.photos)}
    photos = [_row(verdict, placed.capture, place.get(verdict.name)) for verdict in placed.verdicts]
    content = {"photos": photos, "method": placed.method, "convention": _CONVENTION}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _row(verdict: Verdict, capture: Capture, i: int | None) -> dict[str, Any]:
    cameras = capture.cameras
    row = asdict(verdict) | dict.fromkeys(_CAMERA)
    if i is None or cameras is None:
        return row
    row |= {
        "viewmat": cameras.viewmats[i].tolist(),
        "K": cameras.Ks[i].tolist(),
        "width": int(cameras.width[i]),
        "height": int(cameras.height[i]),
        "model": cameras.model,
    }
    if cameras.distortion is not None:
        row["distortion"] = cameras.distortion[i].tolist()
    return row


def save_placed(folder: Path, placed: Placed) -> None:
    """Write ``poses.json`` and ``poses.safetensors`` into ``folder``."""
    cameras, points = placed.capture.cameras, placed.capture.points
    if cameras is None:
        raise ValueError("nothing to save: the capture has no cameras")
    tensors = {f"cameras.{name}": getattr(cameras, name) for name in _CAMERAS}
    if points is not None:
        tensors |= {f"points.{name}": getattr(points, name) for name in _POINTS}
    about = {
        "format": _FORMAT,
        "model": cameras.model,
        "method": placed.method,
        "names": [photo.name for photo in placed.capture.photos],
        "verdicts": [asdict(verdict) for verdict in placed.verdicts],
        "set_aside": [asdict(one) for one in placed.capture.set_aside],
    }
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_tensors(folder / PLACED_FILE, present, about)
    save_poses(folder / "poses.json", placed)


def load_placed(folder: Path, capture: Capture) -> Placed:
    """What ``save_placed`` wrote, for the photos of ``capture`` by name; cameras and points bit for bit.

    Depths of a capture that came without cameras are scaled to these, as ``estimate`` does.
    InputError when the file is missing or broken, or when a photo that was placed is not in the capture or
    has another size.
    """
    path = folder / PLACED_FILE
    about, tensors = load_tensors(path, _FORMAT)
    try:
        cameras = Cameras(
            tensors["cameras.viewmats"],
            tensors["cameras.Ks"],
            tensors["cameras.width"],
            tensors["cameras.height"],
            cast(CameraModel, about["model"]),
            tensors.get("cameras.distortion"),
        )
        points = Points(*(tensors[f"points.{n}"] for n in _POINTS)) if "points.xyz" in tensors else None
        aside = [SetAside(**one) for one in about["set_aside"]]
        verdicts, method = [Verdict(**one) for one in about["verdicts"]], about["method"]
        names = list(map(str, about["names"]))
        sizes = list(zip(names, cameras.width.tolist(), cameras.height.tolist(), strict=True))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({error}). Delete it to make it anew.") from error
    photos = _photos_of(sizes, capture, path)
    placed = replace(capture, photos=photos, cameras=cameras, points=points, set_aside=aside)
    return Placed(placed if capture.posed else depths_to_scene(placed), verdicts, method)


def _photos_of(sizes: Sequence[tuple[str, int, int]], capture: Capture, path: Path) -> list[Photo]:
    """The photos of ``capture`` by name, where they still are as wide and high as ``path`` says."""
    by_name = {photo.name: photo for photo in capture.photos}
    missing = [name for name, _, _ in sizes if name not in by_name]
    if missing:
        raise InputError(
            f"{path} was made for other photos: {', '.join(missing[:3])} of it not found among the photos. "
            "Give the same photos, or choose another output folder."
        )
    for name, width, height in sizes:
        photo = by_name[name]
        if (photo.width, photo.height) != (width, height):
            raise InputError(
                f"{path} was made for {name} in {width}×{height} pixels; now it has "
                f"{photo.width}×{photo.height}. Give the same photos, or choose another output folder."
            )
    return [by_name[name] for name, _, _ in sizes]
