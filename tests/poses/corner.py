"""A synthetic room corner, photographed: three textured planes, exact cameras."""

from __future__ import annotations

from functools import cache, partial

import cv2
import numpy as np
import torch

from firstlight.scene import Cameras, Capture, Photo, Picture

WIDTH, HEIGHT, FOCAL = 360, 270, 330.0
# Each plane: a point on it, its two directions; the texture covers 4 × 4.
PLANES = (
    ((-2.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),  # floor, y = 1
    ((-2.0, -3.0, 2.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),  # wall ahead, z = 2.5
    ((-1.6, -3.0, -1.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),  # wall on the left, x = -1.6
)


@cache
def texture(seed: int) -> np.ndarray:
    """Noise of many sizes [1024, 1024, 3]."""
    rng = np.random.default_rng(seed)
    total = np.zeros((1024, 1024, 3), np.float32)
    for cells in (8, 32, 128, 256):
        noise = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        total += cv2.resize(noise, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    return np.clip(127 + 60 * total, 0, 255).astype(np.uint8)


def look_at(eye, target) -> np.ndarray:
    z = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([x, np.cross(z, x), z])
    viewmat[:3, 3] = -viewmat[:3, :3] @ np.asarray(eye, float)
    return viewmat


def photograph(viewmat: np.ndarray, scene: int = 0, focal: float = FOCAL) -> np.ndarray:
    column, row = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(column - WIDTH / 2) / focal, (row - HEIGHT / 2) / focal, np.ones_like(row)], -1)
    rays = rays @ viewmat[:3, :3]
    eye = -viewmat[:3, :3].T @ viewmat[:3, 3]
    nearest = np.full((HEIGHT, WIDTH), np.inf)
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for i, (origin, u, v) in enumerate(PLANES):
        normal = np.cross(u, v)
        depth = ((np.asarray(origin) - eye) @ normal) / (rays @ normal)
        hit = eye + depth[..., None] * rays - origin
        x, y = (hit @ np.asarray(u) * 256).astype(np.float32), (hit @ np.asarray(v) * 256).astype(np.float32)
        seen = cv2.remap(texture(10 * scene + i), x - 0.5, y - 0.5, cv2.INTER_LINEAR)
        front = (depth > 0.05) & (depth < nearest) & (x > 0) & (x < 1024) & (y > 0) & (y < 1024)
        picture[front], nearest[front] = seen[front], depth[front]
    return picture


def walk(count: int, start: float = -0.9, end: float = 0.9) -> list[np.ndarray]:
    """Cameras on an arc in front of the corner."""
    return [
        look_at((x, -0.6 - 0.2 * np.sin(3 * x), -1.6 + 0.3 * x * x), (-0.3, 0.2, 1.8))
        for x in np.linspace(start, end, count)
    ]


def photo_of(
    name: str, picture: np.ndarray, mask: np.ndarray | None = None, lens: str | None = "test"
) -> Photo:
    return Photo(name, picture.shape[1], picture.shape[0], partial(Picture, picture, mask), lens=lens)


def corner(count: int = 6, scene: int = 0, prefix: str = "", **arc: float) -> Capture:
    """Photos of the corner with its true cameras."""
    viewmats = walk(count, **arc)
    photos = [photo_of(f"{prefix}{i:02}.png", photograph(v, scene)) for i, v in enumerate(viewmats)]
    K = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    size = torch.full((count,), WIDTH), torch.full((count,), HEIGHT)
    cameras = Cameras(torch.from_numpy(np.array(viewmats)).float(), K.repeat(count, 1, 1), *size)
    return Capture(photos, "synthetic corner", cameras)
