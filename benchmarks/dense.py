"""Hold the dense geometry of a few photos against what all photos of their set say, and time it.

    python benchmarks/dense.py SETS [NAME …] [--json FILE] [--page docs/dense.md] [--keep DIR]

SETS holds one folder a set, each with cameras. ``demo`` is always there: its depths are exact.
What is measured, and how, is written into the page.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from firstlight.capture import load, load_demo
from firstlight.geometry import Effort, Geometry, dense_geometry
from firstlight.poses import estimate, undistort
from firstlight.scene import Cameras, Capture, Points

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

PHOTO = 1008  # pixels of the long side, in which disagreement is told
SAME = 0.02  # relative difference of depth, up to which two reference depths are the same surface


@dataclass(frozen=True)
class Pinhole:
    """One camera in numpy, for pixels that count from the corner of the picture."""

    K: Doubles
    viewmat: Doubles
    width: int
    height: int

    @staticmethod
    def of(cameras: Cameras, i: int) -> Pinhole:
        return Pinhole(
            cameras.Ks[i].double().numpy(), cameras.viewmats[i].double().numpy(),
            int(cameras.width[i]), int(cameras.height[i]),
        )  # fmt: skip

    def lift(self, pixels: Doubles, depth: Doubles) -> Doubles:
        """World points [P, 3] of pixels [P, 2]."""
        rays = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ np.linalg.inv(self.K).T
        return np.asarray((rays * depth[:, None] - self.viewmat[:3, 3]) @ self.viewmat[:3, :3])

    def project(self, xyz: Doubles) -> tuple[Doubles, Doubles]:
        """Pixels [P, 2] and depths [P]."""
        local = xyz @ self.viewmat[:3, :3].T + self.viewmat[:3, 3]
        flat = local @ self.K.T
        return flat[:, :2] / np.maximum(flat[:, 2:], 1e-9), local[:, 2]

    def inside(self, pixels: Doubles, depth: Doubles) -> Flags:
        return np.asarray((pixels >= 0).all(1) & (pixels < [self.width, self.height]).all(1) & (depth > 0))


def at(picture: Floats, pixels: Doubles) -> Floats:
    """Values of the nearest pixel."""
    column, row = np.floor(pixels).astype(int).T
    return picture[row.clip(0, picture.shape[0] - 1), column.clip(0, picture.shape[1] - 1)]


def all_pixels(width: int, height: int) -> Doubles:
    column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([column.ravel(), row.ravel()], -1)


def cloud_depth(geometry: Geometry, i: int) -> Floats:
    """Depth of the nearest point of the cloud in each pixel of photo ``i`` or beside it; 0 = none."""
    camera = Pinhole.of(geometry.cameras, i)
    pixels, depth = camera.project(geometry.cloud.points.xyz.numpy())
    seen = camera.inside(pixels, depth)
    column, row = np.floor(pixels[seen]).astype(int).T
    nearest = np.full((camera.height + 2, camera.width + 2), np.inf, np.float32)
    for down in range(3):
        for across in range(3):
            np.minimum.at(nearest, (row + down, column + across), depth[seen])
    found = nearest[1:-1, 1:-1]
    return np.where(np.isfinite(found), found, 0).astype(np.float32)


@dataclass(frozen=True)
class Common:
    """Pixels of photo ``one`` whose surface photo ``other`` shows too, by the reference."""

    one: int
    other: int
    pixels: Doubles  # [P, 2] in ``one``
    there: Doubles  # [P, 2] in ``other``


def common_pixels(depths: Sequence[Floats], cameras: Cameras) -> Iterator[Common]:
    """By depth maps: a pixel's surface is in the other picture, and that one's depth map has it there."""
    for i in range(len(depths)):
        one = Pinhole.of(cameras, i)
        pixels = all_pixels(one.width, one.height)
        depth = depths[i].ravel()
        pixels, depth = pixels[depth > 0], depth[depth > 0]
        xyz = one.lift(pixels, depth)
        for k in range(len(depths)):
            if k == i:
                continue
            other = Pinhole.of(cameras, k)
            there, deep = other.project(xyz)
            seen = other.inside(there, deep)
            known = at(depths[k], there)
            seen &= (known > 0) & (np.abs(known - deep) < SAME * deep)
            yield Common(i, k, pixels[seen], there[seen])


def common_points(points: Points, cameras: Cameras) -> Iterator[Common]:
    """By sparse points: both photos are in the point's track."""
    xyz = points.xyz.double().numpy()
    for i in range(len(cameras)):
        in_one = np.isin(np.arange(len(xyz)), points.track_point[points.track_photo == i])
        for k in range(len(cameras)):
            if k != i:
                both = in_one & np.isin(np.arange(len(xyz)), points.track_point[points.track_photo == k])
                pixels, depth = Pinhole.of(cameras, i).project(xyz[both])
                there, deep = Pinhole.of(cameras, k).project(xyz[both])
                seen = Pinhole.of(cameras, i).inside(pixels, depth) & Pinhole.of(cameras, k).inside(there, deep)
                yield Common(i, k, pixels[seen], there[seen])


def held_against(geometry: Geometry, common: Iterator[Common]) -> dict[str, float]:
    """How much of what pairs of photos see in common the cloud covers, and how far it is off, in pixels."""
    seen: list[Flags] = []
    off: list[Doubles] = []
    maps = [cloud_depth(geometry, i) for i in range(len(geometry.maps))]
    for pair in common:
        one, other = (Pinhole.of(geometry.cameras, i) for i in (pair.one, pair.other))
        depth = at(maps[pair.one], pair.pixels).astype(np.float64)
        got = depth > 0
        reached, deep = other.project(one.lift(pair.pixels[got], depth[got]))
        scale = PHOTO / max(other.width, other.height)
        away = np.where(deep > 0, np.linalg.norm(reached - pair.there[got], axis=1) * scale, np.inf)
        seen.append(got)
        off.append(away)
    got, away = np.concatenate(seen), np.concatenate(off)
    if len(got) == 0:
        return {"common": 0}
    return {
        "common": len(got),
        "covered": float(got.mean()),
        "median_px": float(np.median(away)) if len(away) else float("nan"),
        "covered_within_2px": float((away < 2).sum() / len(got)),
        "beyond_5px": float((away > 5).mean()) if len(away) else float("nan"),
    }


def held_against_depth(geometry: Geometry, truth: Sequence[Floats]) -> dict[str, float]:
    """The depth maps against measured ones of the same size."""
    errors, known = [], 0
    for found, right in zip(geometry.maps, truth, strict=True):
        depth = found.depth
        got = (depth > 0) & (right > 0)
        known += int((right > 0).sum())
        errors.append(np.abs(depth[got] / right[got] - 1))
    error = np.concatenate(errors)
    return {
        "covered": len(error) / max(1, known),
        "median_relative": float(np.median(error)) if len(error) else float("nan"),
        "within_1_percent": float((error < 0.01).mean()) if len(error) else float("nan"),
        "within_5_percent": float((error < 0.05).mean()) if len(error) else float("nan"),
    }


class Clock:
    """Wall and processor seconds."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {
            "wall_s": round(time.perf_counter() - self.wall, 2), "cpu_s": round(time.process_time() - self.cpu, 2)
        }  # fmt: skip
