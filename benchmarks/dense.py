"""Hold the dense geometry of a few photos against what all photos of their set say, and time it.

    python benchmarks/dense.py SETS [NAME …] [--photos 3] [--step N] [--json FILE] [--keep DIR]

SETS holds one folder a set, each with cameras and sparse points; ``demo`` is always there.

The few photos are those around the middle one of a set by name, ``--step`` from one to the next. Their
cameras are the set's own; of the sparse points that at least two of them saw, every second one guides, the
others judge.

*common*: pixels of one photo whose surface another of the few shows too, by the reference: exact depth
(demo), a depth camera's (redkitchen-rgbd), depth maps made from up to eleven photos of the set around the
middle, or the sparse points that judge. *covered*: the share of those in which, or beside which, a point of
the cloud made from the few lies in front. *median_px*: for pixels with a point, how far its place in the
other photo is from the one that the reference's depth gives it, in pixels of a picture of 1008.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from firstlight.capture import load, load_demo
from firstlight.geometry import Geometry, find_geometry
from firstlight.pipeline import prepare
from firstlight.scene import Cameras, Capture, Points

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

PHOTO = 1008  # pixels of the long side, in which disagreement is told
SIZE = 504  # pixels of the long side at which depth is worked out
SAME = 0.02  # relative difference of depth, up to which two reference depths are the same surface
AROUND = 5  # photos on both sides of the middle one that the reference is made from


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


def at(picture: Floats | Flags, pixels: Doubles) -> Floats:
    """Values of the nearest pixel."""
    column, row = np.floor(pixels).astype(int).T
    values = picture[row.clip(0, picture.shape[0] - 1), column.clip(0, picture.shape[1] - 1)]
    return np.asarray(values, np.float32)


def all_pixels(width: int, height: int) -> Doubles:
    column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([column.ravel(), row.ravel()], -1)


@dataclass(frozen=True)
class Drawn:
    """The cloud in one photo."""

    depth: Floats  # [H, W] of the frontmost point in each pixel, 0 = none
    place: Floats  # [H, W, 2] where in the pixel it lies
    beside: Flags  # [H, W] whether a point is in the pixel or next to it


def drawn(geometry: Geometry, camera: Pinhole) -> Drawn:
    pixels, depth = camera.project(geometry.cloud.xyz.double().numpy())
    order = np.argsort(-depth, kind="stable")  # the nearest is written last
    order = order[camera.inside(pixels[order], depth[order])]
    column, row = np.floor(pixels[order]).astype(int).T
    front = np.zeros((camera.height, camera.width), np.float32)
    place = np.zeros((camera.height, camera.width, 2), np.float32)
    front[row, column], place[row, column] = depth[order], pixels[order]
    beside = cv2.dilate((front > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return Drawn(front, place, beside)


@dataclass(frozen=True)
class Common:
    """Pixels of photo ``one`` whose surface photo ``other`` shows too, by the reference."""

    one: int
    other: int
    pixels: Doubles  # [P, 2] in ``one``
    depth: Doubles  # [P] in ``one``


def common_pixels(depths: Sequence[Floats], cameras: Cameras) -> Iterator[Common]:
    """By depth maps: a pixel's surface is in the other picture, and that one's depth map has it there."""
    for i in range(len(depths)):
        one = Pinhole.of(cameras, i)
        pixels = all_pixels(one.width, one.height)
        depth = depths[i].ravel().astype(np.float64)
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
            yield Common(i, k, pixels[seen], depth[seen])


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
                seen = Pinhole.of(cameras, i).inside(pixels, depth) & Pinhole.of(cameras, k).inside(
                    there, deep
                )
                yield Common(i, k, pixels[seen], depth[seen])


def held_against(geometry: Geometry, cameras: Cameras, common: Iterator[Common]) -> dict[str, float]:
    """How much of what pairs of photos see in common the cloud covers, and how far it is off, in pixels."""
    seen: list[Flags] = []
    off: list[Doubles] = []
    views = [Pinhole.of(cameras, i) for i in range(len(cameras))]
    pictures = [drawn(geometry, view) for view in views]
    for pair in common:
        one, other, picture = views[pair.one], views[pair.other], pictures[pair.one]
        depth = at(picture.depth, pair.pixels).astype(np.float64)
        got, place = depth > 0, at(picture.place, pair.pixels).astype(np.float64)
        by_cloud, _ = other.project(one.lift(place[got], depth[got]))
        by_reference, _ = other.project(one.lift(place[got], pair.depth[got]))
        scale = PHOTO / max(other.width, other.height)
        seen.append(at(picture.beside, pair.pixels) > 0)
        off.append(np.linalg.norm(by_cloud - by_reference, axis=1) * scale)
    got, away = np.concatenate(seen), np.concatenate(off)
    if len(away) == 0:
        return {"common": len(got), "covered": 0.0}
    return {
        "common": len(got),
        "covered": round(float(got.mean()), 3),
        "median_px": round(float(np.median(away)), 2),
        "within_2px": round(float((away < 2).mean()), 3),
        "beyond_5px": round(float((away > 5).mean()), 3),
    }


def subset(capture: Capture, index: Sequence[int]) -> tuple[Capture, Points | None]:
    """The few photos with half of the points that two of them saw; and the other half."""
    few = capture.select(index)
    if few.points is None:
        return few, None
    seen = np.bincount(few.points.track_point.numpy(), minlength=len(few.points))
    points = few.points.select(torch.from_numpy(seen >= 2))
    second = torch.arange(len(points)) % 2 == 1
    return replace(few, points=points.select(~second)), points.select(second)


def reference_depths(
    name: str, folder: Path | None, capture: Capture, middle: int, index: Sequence[int]
) -> tuple[str, list[Floats]]:
    """What the reference is, and depth maps of the photos at ``index``."""
    if name == "demo":
        return "exact depth", [capture.photos[i].resized(SIZE).depth() for i in index]  # type: ignore[misc]
    around = sorted({*range(max(0, middle - AROUND), min(len(capture), middle + AROUND + 1)), *index})
    all_of_them = find_geometry(capture, photos=around, max_size=SIZE)
    return f"{len(around)} photos", [all_of_them.maps[around.index(i)].depth for i in index]


def measured(folder: Path, capture: Capture, index: Sequence[int]) -> list[Floats]:
    """Metres by a depth camera, as if the photo's lens did not distort: within some pixels it does not."""
    size = [(capture.photos[i].width, capture.photos[i].height) for i in index]
    names = [Path(capture.photos[i].name).stem for i in index]
    found = []
    for name, (width, height) in zip(names, size, strict=True):
        path = next((folder / "depth_registered").glob(f"{name.split('.')[0]}*.png"))
        raw = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.float32) / 1000
        scale = SIZE / max(width, height)
        shape = (round(width * scale), round(height * scale))
        found.append(np.asarray(cv2.resize(raw, shape, interpolation=cv2.INTER_NEAREST), np.float32))
    return found


def angles(capture: Capture, index: Sequence[int]) -> float:
    """Mean angle in degrees at which two photos in turn see the sparse points, or the middle of the scene."""
    assert capture.cameras is not None
    centers = capture.cameras.centers.double().numpy()[list(index)]
    if capture.points is not None:
        at_points = capture.points.xyz.double().numpy()
    else:
        at_points = np.zeros((1, 3))
    rays = at_points[None] - centers[:, None]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    pairs = [(a, a + 1) for a in range(len(index) - 1)]
    return float(
        np.mean([np.rad2deg(np.arccos(np.clip((rays[a] * rays[b]).sum(-1), -1, 1))) for a, b in pairs])
    )


def bench(name: str, sets: Path, count: int, step: int, keep: Path | None) -> dict[str, Any]:
    """One set: seconds, and the cloud of ``count`` photos against each reference."""
    folder = None if name == "demo" else sets / name
    whole = load_demo(with_cameras=True) if folder is None else load(folder)
    capture = prepare(whole, PHOTO)
    middle = len(capture) // 2
    wanted = middle + step * (np.arange(count) - count // 2)
    index = [i for i in wanted.tolist() if 0 <= i < len(capture)]
    few, judges = subset(capture, index)
    few = replace(few, photos=[replace(photo, depth=None) for photo in few.photos])
    wall, cpu = time.perf_counter(), time.process_time()
    geometry = find_geometry(few, max_points=10**9, max_size=SIZE)
    row: dict[str, Any] = {
        "set": name, "photos": len(index), "step": step, "degrees": round(angles(few, range(len(few))), 1),
        "points": len(geometry.cloud),
        "wall_s": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2),
    }  # fmt: skip
    small = few.resized(SIZE).cameras
    assert small is not None
    kind, depths = reference_depths(name, folder, capture, middle, index)
    row[kind] = held_against(geometry, small, common_pixels(depths, small))
    if folder is not None and (folder / "depth_registered").is_dir():
        row["depth camera"] = held_against(
            geometry, small, common_pixels(measured(folder, capture, index), small)
        )
    if judges is not None and len(judges):
        row["sparse points"] = held_against(geometry, small, common_points(judges, small))
    if keep is not None:
        draw(keep / f"{name}-{step}.png", few, geometry, depths)
    return row


def draw(path: Path, few: Capture, geometry: Geometry, depths: Sequence[Floats]) -> None:
    """Photos, depth maps and reference side by side, one row a photo; the cloud from above."""
    rows = []
    for photo, found, right in zip(few.resized(SIZE).photos, geometry.maps, depths, strict=True):
        low, high = (1 / np.quantile(right[right > 0], [0.98, 0.02])) if (right > 0).any() else (0, 1)

        def shown(depth: Floats, low: float = low, high: float = high) -> npt.NDArray[np.uint8]:
            level = (1 / np.maximum(depth, 1e-9) - low) / (high - low) * 230 + 25
            grey = np.where(depth > 0, np.clip(level, 1, 255), 0).astype(np.uint8)
            return np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO) * (grey > 0)[..., None], np.uint8)

        picture = cv2.cvtColor(photo.decode().rgb, cv2.COLOR_RGB2BGR)
        confidence = cv2.cvtColor((found.confidence * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        rows.append(np.hstack([picture, shown(found.depth), confidence, shown(right)]))
    width = min(row.shape[1] for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack([row[:, :width] for row in rows]))
    cv2.imwrite(str(path.with_stem(path.stem + "-side")), from_the_side(few, geometry))


def from_the_side(few: Capture, geometry: Geometry, degrees: float = 30.0) -> npt.NDArray[np.uint8]:
    """The cloud as points, from the middle camera turned about the scene."""
    assert few.cameras is not None
    camera = Pinhole.of(few.resized(SIZE).cameras, 1)  # type: ignore[arg-type]
    xyz = geometry.cloud.xyz.double().numpy()
    local = xyz @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    middle = np.median(local, 0)
    turn = cv2.Rodrigues(np.array([0, np.deg2rad(degrees), 0]))[0]
    local = (local - middle) @ turn.T + middle * [0, 0, 1.3]
    flat = local @ camera.K.T
    pixels = flat[:, :2] / np.maximum(flat[:, 2:], 1e-9)
    order = np.argsort(-local[:, 2])
    order = order[camera.inside(pixels[order], local[order, 2])]
    picture = np.full((camera.height, camera.width, 3), 255, np.uint8)
    column, row = np.floor(pixels[order]).astype(int).T
    picture[row, column] = geometry.cloud.rgb.numpy()[order][:, ::-1]
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path)
    parser.add_argument("names", nargs="*", default=["demo"])
    parser.add_argument("--photos", type=int, default=3)
    parser.add_argument("--step", type=int, default=1, help="from one photo to the next, by name")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="draw depth maps and clouds there")
    options = parser.parse_args()
    bench("demo", options.sets, 3, 3, None)  # compile and load everything once
    rows = []
    for name in options.names:
        rows.append(bench(name, options.sets, options.photos, options.step, options.keep))
        print(json.dumps(rows[-1]), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
