"""Cameras and points as two small maps: from above and from the side."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firstlight.evaluate.report.folder import Table, matrix, number, tables, text, thinned
from firstlight.evaluate.report.markup import Html, element

Array = npt.NDArray[np.float64]

WIDTH, HEIGHT, MARGIN = 540.0, 400.0, 18.0
LEVELS = 6  # a colour channel of a point (0, 51 … 255), so that points of one colour share a path


# A panorama looks everywhere: a level diamond in place of a frustum.
ALL_AROUND = np.array([[0.7, 0, 0], [0, 0, 0.7], [-0.7, 0, 0], [0, 0, -0.7]])


@dataclass(frozen=True, eq=False)
class Camera:
    """A placed photo."""

    name: str
    center: Array  # [3]
    rotation: Array  # [3, 3] world → camera
    corners: Array  # [4, 3] directions of the picture's corners in the world, depth 1


@dataclass(frozen=True, eq=False)
class Layout:
    """What a map shows, in the world's axes."""

    cameras: list[Camera]
    points: Array  # [P, 3]
    colors: Array  # [P, 3] in 0 … 255
    axes: Array  # [3, 3] rows: across, away, up


def layout(poses: Table) -> Layout | None:
    """Read what ``poses.json`` says; None where no photo was placed."""
    cameras = [camera for entry in tables(poses.get("photos")) if (camera := _camera(entry))]
    if not cameras:
        return None
    points, colors = _points(poses.get("points"))
    return Layout(cameras, points, colors, _axes(cameras, points))


def maps(found: Layout, test: set[str]) -> tuple[Html, Html]:
    """(from above, from the side) as SVG; cameras named in ``test`` are marked."""
    across, away, up = found.axes
    return (
        _map(found, np.stack([across, away]), test, "Cameras and points from above"),
        _map(found, np.stack([across, up]), test, "Cameras and points from the side"),
    )


def up_direction(cameras: list[Camera]) -> Array:
    """Which way is up, from how people hold cameras: level. [3], unit.

    The axis that the cameras' right vectors are most orthogonal to. Where these all point one way, as for
    photos taken side by side, that leaves a choice, and the mean of the cameras' own ups decides.
    """
    right = np.stack([camera.rotation[0] for camera in cameras])  # [C, 3]
    mean_up = -np.mean([camera.rotation[1] for camera in cameras], 0)
    _, vectors = np.linalg.eigh(right.T @ right / len(cameras) - 0.1 * np.outer(mean_up, mean_up))
    up: Array = vectors[:, 0]
    return -up if up @ mean_up < 0 else up


def _camera(entry: Table) -> Camera | None:
    viewmat = matrix(entry.get("viewmat"), 4)
    if viewmat is None or entry.get("placed") is False:
        return None
    pose = np.array(viewmat)
    rotation = pose[:3, :3]
    width, height = number(entry.get("width")) or 4.0, number(entry.get("height")) or 3.0
    K = matrix(entry.get("K"), 3)
    fx, fy, cx, cy = _lens(K, width, height)
    pixels = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    rays = np.concatenate([(pixels - [cx, cy]) / [fx, fy], np.ones((4, 1))], 1)  # [4, 3]
    if entry.get("model") == "equirectangular":
        rays = ALL_AROUND
    return Camera(text(entry.get("name")), -rotation.T @ pose[:3, 3], rotation, rays @ rotation)


def _lens(K: list[list[float]] | None, width: float, height: float) -> tuple[float, float, float, float]:
    if K is None or K[0][0] <= 0 or K[1][1] <= 0:
        focal = max(width, height)  # unknown, or no pinhole: any frustum will do for a map
        return focal, focal, width / 2, height / 2
    return K[0][0], K[1][1], K[0][2], K[1][2]


def _points(value: object) -> tuple[Array, Array]:
    """Positions and colours of at most 2000 points; rows that are no six numbers are skipped."""
    rows = thinned(value) if isinstance(value, list) else []
    read = [[number(item) for item in row[:6]] for row in rows if isinstance(row, list) and len(row) >= 6]
    kept = [row for row in read if None not in row]
    array = np.array(kept, np.float64).reshape(-1, 6)
    return array[:, :3], array[:, 3:].clip(0, 255)


def _axes(cameras: list[Camera], points: Array) -> Array:
    """Up, and the two level directions with the wider one across the map."""
    up = up_direction(cameras)
    centers = np.stack([camera.center for camera in cameras])
    spread = np.concatenate([centers, points[_inliers(points)]])
    level = (spread - spread.mean(0)) @ (np.eye(3) - np.outer(up, up))
    across = np.linalg.svd(level, full_matrices=False)[2][0] if len(spread) > 2 else cameras[0].rotation[0]
    across = across - up * (across @ up)
    norm = np.linalg.norm(across)
    # All in one place, or on one upright line: any level direction serves.
    across = across / norm if norm > 1e-9 else np.linalg.svd(up[None])[2][1]
    return np.stack([across, np.cross(up, across), up])


def _inliers(points: Array) -> npt.NDArray[np.bool_]:
    """Points that are not far behind the scene: reconstructions always have some that are."""
    if len(points) < 10:
        return np.ones(len(points), np.bool_)
    low, high = np.percentile(points, [3, 97], axis=0)
    room = 0.25 * (high - low)
    return np.asarray(((points >= low - room) & (points <= high + room)).all(1))


@dataclass(frozen=True)
class _View:
    """From two of the map's axes to the drawing; one scale for both."""

    low: Array  # [2]
    scale: float
    shift: Array  # [2]

    @staticmethod
    def around(spots: Array) -> _View:
        low, high = spots.min(0), spots.max(0)
        room = np.array([WIDTH, HEIGHT]) - 2 * MARGIN
        scale = float((room / np.maximum(high - low, 1e-9)).min())
        return _View(low, scale, MARGIN + (room - (high - low) * scale) / 2)

    def __call__(self, spots: Array) -> Array:
        """[..., 2] → [..., 2], y downwards."""
        placed = (spots - self.low) * self.scale + self.shift
        placed[..., 1] = HEIGHT - placed[..., 1]
        return placed


def _map(found: Layout, axes: Array, test: set[str], title: str) -> Html:
    keep = _inliers(found.points)
    spots = found.points[keep] @ axes.T
    centers = np.stack([camera.center for camera in found.cameras])
    depth = _frustum_depth(centers, found.points[keep])
    outlines = np.stack([np.vstack([c.center, c.center + depth * c.corners]) for c in found.cameras]) @ axes.T
    view = _View.around(np.concatenate([spots, outlines.reshape(-1, 2)]))
    return element(
        "svg",
        element("title", title),
        element("g", *_dots(view(spots), found.colors[keep]), class_="points"),
        *(
            _frustum(camera.name, view(outline), camera.name in test)
            for camera, outline in sorted(
                zip(found.cameras, outlines, strict=True), key=lambda pair: pair[0].name in test
            )
        ),
        view_box=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
    )


def _frustum_depth(centers: Array, points: Array) -> float:
    """How long to draw frusta: small beside the scene, and not all over each other."""
    everything = np.concatenate([centers, points])
    size = float(np.linalg.norm(everything.max(0) - everything.min(0)))
    return 0.035 * size if size > 0 else 1.0


def _frustum(name: str, outline: Array, is_test: bool) -> Html:
    """``outline`` [5, 2]: the centre, then the four corners."""
    c, *corners = (f"{x:.1f} {y:.1f}" for x, y in outline)
    picture = f"M{corners[0]}L{corners[1]}L{corners[2]}L{corners[3]}Z"
    sides = "".join(f"M{c}L{corner}" for corner in corners)
    label = element("title", f"{name} (held out)" if is_test else name)
    return element("path", label, d=picture + sides, class_="frustum test" if is_test else "frustum")


def _dots(spots: Array, colors: Array) -> list[Html]:
    """Points as zero-length strokes with round ends, a path for each colour."""
    levels = np.rint(colors / 255 * (LEVELS - 1)).astype(int)
    paths: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for (x, y), level in zip(spots, levels, strict=True):
        paths[tuple(level)].append(f"M{x:.0f} {y:.0f}h0")
    return [
        element("path", d="".join(parts), stroke="#" + "".join(f"{51 * channel:02x}" for channel in level))
        for level, parts in sorted(paths.items())
    ]
