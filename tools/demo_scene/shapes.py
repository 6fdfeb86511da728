"""Triangle meshes of the demo still life, as (vertices [V, 3], uv [V, 2], faces [F, 3]) in metres, z up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Shape(NamedTuple):
    vertices: np.ndarray  # [V, 3]
    uv: np.ndarray  # [V, 2], v = 0 is the bottom row of the texture
    faces: np.ndarray  # [F, 3]


def grid_faces(rows: int, columns: int) -> np.ndarray:
    """Two triangles for each cell of a rows x columns lattice of vertices."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).ravel()
    first = np.stack([corner, corner + 1, corner + columns], 1)
    second = np.stack([corner + 1, corner + columns + 1, corner + columns], 1)
    return np.concatenate([first, second])


def surface(points: np.ndarray) -> Shape:
    """A lattice of points [R, C, 3]; u runs along columns, v along rows."""
    rows, columns = points.shape[:2]
    u, v = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
    return Shape(points.reshape(-1, 3), np.stack([u, v], -1).reshape(-1, 2), grid_faces(rows, columns))


def rectangle(width: float, height: float) -> Shape:
    """In the x-z plane, facing -y, centred."""
    x, z = np.meshgrid([-width / 2, width / 2], [-height / 2, height / 2])
    return surface(np.stack([x, np.zeros_like(x), z], -1))


def revolve(profile: np.ndarray, around: int = 96) -> Shape:
    """Turn a profile [P, 2] of (radius, height), from bottom to top of the outside, around z."""
    turn = np.linspace(0, 2 * np.pi, around + 1)
    radius, height = profile[:, 0, None], profile[:, 1, None]
    points = np.stack([radius * np.sin(turn), -radius * np.cos(turn), height * np.ones_like(turn)], -1)
    return surface(points)


def smooth_profile(knots: list[tuple[float, float]], samples: int = 80) -> np.ndarray:
    """A curve through (radius, height) knots (cubic in the chord length)."""
    from scipy.interpolate import PchipInterpolator

    corners = np.asarray(knots, float)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    return np.asarray(PchipInterpolator(length, corners)(np.linspace(0, length[-1], samples)))


def sphere(radius: float, rows: int = 64) -> Shape:
    """u runs around, v from the bottom pole to the top."""
    tilt = np.linspace(-np.pi / 2, np.pi / 2, rows)
    return revolve(np.stack([radius * np.cos(tilt), radius * np.sin(tilt)], 1), 2 * rows)


def box_sides(width: float, depth: float, height: float) -> list[Shape]:
    """Six rectangles standing on z = 0, in the order front, right, back, left, top, bottom."""
    sides = []
    for turn, wide, deep in ((0, width, depth), (1, depth, width), (2, width, depth), (3, depth, width)):
        side = moved(rectangle(wide, height), (0, -deep / 2, height / 2))
        sides.append(moved(side, (0, 0, 0), turn * 90))
    flat = rectangle(width, depth)
    top = flat.vertices[:, [0, 2, 1]] + [0, 0, height]
    bottom = flat.vertices[:, [0, 2, 1]] * [1, -1, 1]
    return [*sides, flat._replace(vertices=top), flat._replace(vertices=bottom)]


def tube(path: np.ndarray, radius: float, around: int = 12) -> Shape:
    """A pipe along points [P, 3], swept without a twist."""
    ahead = np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.cross(ahead[0], [0.31, 0.52, 0.79])
    rings = []
    for point, direction in zip(path, ahead, strict=True):
        side = side - direction * (side @ direction)
        side /= np.linalg.norm(side)
        up = np.cross(direction, side)
        turn = np.linspace(0, 2 * np.pi, around + 1)[:, None]
        rings.append(point + radius * (np.cos(turn) * side + np.sin(turn) * up))
    return surface(np.stack(rings))


def leaf(length: float, width: float, droop: float) -> Shape:
    """A folded, drooping leaf: base at the origin, growing along +x, bending down by `droop` radians."""
    along = np.linspace(0, 1, 24)
    pitch = 0.6 - droop * along**1.3
    step = length / 23
    x = np.concatenate([[0], np.cumsum(np.cos(pitch[:-1]) * step)])
    z = np.concatenate([[0], np.cumsum(np.sin(pitch[:-1]) * step)])
    half = width / 2 * np.sin(np.pi * along**0.8) ** 0.8 + 0.001
    across = np.linspace(-1, 1, 9)
    y = half[:, None] * across
    lift = 0.35 * np.abs(y)
    return surface(np.stack([x[:, None] - lift * np.sin(pitch)[:, None], y, z[:, None] + lift], -1))


def runner(width: float, half_depth: float, hang: float, rng: np.random.Generator) -> Shape:
    """A cloth over a table whose front edge is at y = -half_depth: lies flat, then hangs in soft folds."""
    across = np.linspace(-0.5, 0.5, 120)
    along = np.linspace(0, 2 * half_depth * 0.92 + hang, 160)[::-1]  # from the hem up to the far end
    flat = 2 * half_depth * 0.92
    x, s = np.meshgrid(across * width, along)
    falling = np.clip(s - flat, 0, None)
    bend = 0.03
    angle = np.clip(falling / bend, 0, np.pi / 2)
    y = half_depth * 0.84 - np.minimum(s, flat) - bend * np.sin(angle)
    z = -bend * (1 - np.cos(angle)) - np.clip(falling - bend * np.pi / 2, 0, None)
    phase = rng.uniform(0, 6.28, 3)
    folds = np.sin(x * 23 + phase[0]) + 0.6 * np.sin(x * 37 + phase[1])
    y = y - 0.020 * folds * np.clip(falling / hang, 0, 1) - 0.026 * np.clip(falling / 0.05, 0, 1)
    ripple = np.sin(x * 11 + s * 7 + phase[2]) * np.sin(s * 13 - x * 5)
    return surface(np.stack([x, y, z + 0.004 + 0.002 * (1 + ripple)], -1))


def moved(shape: Shape, to: tuple[float, float, float], turn: float = 0, tilt: float = 0) -> Shape:
    """Tilt about x, then turn about z (degrees), then shift."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    tc, ts = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, tc, -ts], [0, ts, tc]])
    return shape._replace(vertices=shape.vertices @ (about_z @ about_x).T + np.asarray(to, float))
