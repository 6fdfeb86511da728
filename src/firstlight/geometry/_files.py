"""Dense geometry on disk, to go on from bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch

from firstlight.errors import InputError
from firstlight.files.tensors import load_tensors, save_tensors
from firstlight.geometry._densify import Geometry
from firstlight.geometry._depth_map import DepthMap
from firstlight.scene import Cloud

GEOMETRY_FILE = "geometry.safetensors"
_FORMAT = "firstlight geometry 1"
_ARRAYS = ("log_depth", "directions", "sure")


def save_geometry(folder: Path, geometry: Geometry) -> None:
    """Write ``geometry.safetensors`` into ``folder``: six bytes a pixel, 47 a point."""
    tensors = {f"cloud.{field.name}": getattr(geometry.cloud, field.name) for field in fields(Cloud)}
    for i, found in enumerate(geometry.maps):
        tensors |= {f"maps.{i}.{name}": torch.from_numpy(getattr(found, name)) for name in _ARRAYS}
    about = {
        "format": _FORMAT,
        "names": geometry.names,
        "ranges": [[found.nearest, found.farthest] for found in geometry.maps],
    }
    save_tensors(folder / GEOMETRY_FILE, tensors, about)


def load_geometry(folder: Path, names: Sequence[str]) -> Geometry:
    """What ``save_geometry`` wrote for the photos called ``names``.

    InputError when the file is missing or broken, or when it was made for other photos.
    """
    path = folder / GEOMETRY_FILE
    about, tensors = load_tensors(path, _FORMAT)
    try:
        if about["names"] != list(names):
            raise InputError(f"{path} was made for other photos. Delete it to make it anew.")
        cloud = Cloud(**{field.name: tensors[f"cloud.{field.name}"] for field in fields(Cloud)})
        maps = []
        for i, (_, (nearest, farthest)) in enumerate(zip(names, about["ranges"], strict=True)):
            log_depth, directions, sure = (tensors[f"maps.{i}.{name}"].numpy() for name in _ARRAYS)
            maps.append(DepthMap(log_depth, directions, sure, float(nearest), float(farthest)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({error}). Delete it to make it anew.") from error
    return Geometry(list(names), maps, cloud)
