"""Dense geometry on disk, to go on from bit for bit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from firstlight.errors import InputError
from firstlight.files.atomic import atomic_write
from firstlight.geometry._densify import Geometry
from firstlight.geometry._depth_map import DepthMap
from firstlight.scene import Cloud

GEOMETRY_FILE = "geometry.safetensors"
_FORMAT = "firstlight geometry 1"
_ARRAYS = ("log_depth", "directions", "sure")


def save_geometry(folder: Path, geometry: Geometry) -> None:
    """Write ``geometry.safetensors`` into ``folder``: six bytes a pixel, 46 a point."""
    tensors = {f"cloud.{field.name}": getattr(geometry.cloud, field.name) for field in fields(Cloud)}
    for i, found in enumerate(geometry.maps):
        tensors |= {f"maps.{i}.{name}": torch.from_numpy(getattr(found, name)) for name in _ARRAYS}
    about = {
        "format": _FORMAT,
        "names": geometry.names,
        "ranges": [[found.nearest, found.farthest] for found in geometry.maps],
    }
    present = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with atomic_write(folder / GEOMETRY_FILE) as temporary:
        save_file(present, temporary, metadata={"about": json.dumps(about)})


def load_geometry(folder: Path, names: Sequence[str]) -> Geometry:
    """What ``save_geometry`` wrote for the photos called ``names``.

    InputError when the file is missing or broken, or when it was made for other photos.
    """
    path = folder / GEOMETRY_FILE
    about, tensors = _read(path)
    if about["names"] != list(names):
        raise InputError(f"{path} was made for other photos. Delete it to find the geometry anew.")
    try:
        cloud = Cloud(**{field.name: tensors[f"cloud.{field.name}"] for field in fields(Cloud)})
        maps = []
        for i, (nearest, farthest) in enumerate(about["ranges"]):
            log_depth, directions, sure = (tensors[f"maps.{i}.{name}"].numpy() for name in _ARRAYS)
            maps.append(DepthMap(log_depth, directions, sure, float(nearest), float(farthest)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({error}). Delete it to find the geometry anew.") from error
    return Geometry(list(names), maps, cloud)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}). Delete it to find the geometry anew.") from error
    if about.get("format") != _FORMAT:
        raise InputError(f"{path}: was not written by this version. Delete it to find the geometry anew.")
    return about, tensors
