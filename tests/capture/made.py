"""Pictures and models made for tests, and a listener."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pycolmap
from PIL import Image

from firstlight.progress import Silent

Pixels = npt.NDArray[np.uint8]


class Notes(Silent):
    """A Progress that remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def texture(width: int, height: int, seed: int = 0) -> Pixels:
    """A smooth coloured pattern without any symmetry [height, width, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def save_photo(path: Path, width: int = 60, height: int = 40, seed: int = 0, **options: Any) -> Pixels:
    """Write a texture as a picture file; gives the pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = texture(width, height, seed)
    Image.fromarray(rgb).save(path, **options)
    return rgb


def random_rotation(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def look_at(center: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """World → camera [3, 4] of a camera at ``center`` that looks at the origin, OpenCV axes."""
    z = -center / np.linalg.norm(center)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    return np.concatenate([rotation, -(rotation @ center)[:, None]], 1)


def reconstruction(
    names: list[str],
    model: str = "PINHOLE",
    params: list[float] | None = None,
    size: tuple[int, int] = (60, 40),
    points: int = 12,
) -> pycolmap.Reconstruction:
    """Cameras on a circle that all see points near the origin, exactly."""
    rng = np.random.default_rng(0)
    made = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        camera_id=1, model=model, width=size[0], height=size[1],
        params=params or [50.0, 55.0, size[0] / 2, size[1] / 2],
    )  # fmt: skip
    made.add_camera_with_trivial_rig(camera)
    xyz = rng.uniform(-0.5, 0.5, (points, 3))
    for i, name in enumerate(names, 1):
        turn = 2 * np.pi * i / (len(names) + 1)
        pose = look_at(np.array([3 * np.cos(turn), 3 * np.sin(turn), 1.0]))
        seen = [pycolmap.Point2D(camera.img_from_cam(pose[:, :3] @ p + pose[:, 3])) for p in xyz]
        image = pycolmap.Image(name, seen, camera_id=1, image_id=i)
        made.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose))
    for j, p in enumerate(xyz):
        elements = [pycolmap.TrackElement(i, j) for i in range(1, len(names) + 1)]
        made.add_point3D(p, pycolmap.Track(elements), np.array([10 * j % 256, 20, 30], np.uint8))
    return made


def write_project(
    folder: Path, names: list[str], text: bool = False, **options: Any
) -> pycolmap.Reconstruction:
    """A COLMAP project with pictures in images/ and its model in sparse/0."""
    made = reconstruction(names, **options)
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    (made.write_text if text else made.write_binary)(model)
    width, height = options.get("size", (60, 40))
    for i, name in enumerate(names):
        save_photo(folder / "images" / name, width, height, seed=i)
    return made
