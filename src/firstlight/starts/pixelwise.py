"""One Gaussian for each pixel, on its ray: the start of CoherentGS (Paliwal et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from firstlight.errors import InputError
from firstlight.scene import KEEP_FROM, Cameras, Capture, Gaussians, Photo

OPACITIES = {2: 0.6, 3: 0.5, 4: 0.35}  # by the number of photos, as in the authors' code


@dataclass(frozen=True)
class PixelStart:
    """Each photo's depth map becomes Gaussians of its own, also where photos show the same.

    Where depth is unknown, that of the nearest pixel that has one stands in. A Gaussian is 0.6 of its pixel
    wide (1.2 · tan(fov / 2) · z / height). Every ``stride``-th pixel is used, chosen such that there are at
    most ``most`` Gaussians.
    """

    most: int = 60_000
    fewest_known: float = 0.01  # share of a photo's pixels with depth, below which it is left out
    needs_geometry: ClassVar[bool] = True

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError as for ``pixel_grids``."""
        opacity = opacity_for(len(capture))
        return Gaussians.merge(
            [grid.gaussians(opacity) for grid in pixel_grids(capture, self.most, self.fewest_known)]
        )


def opacity_for(photos: int) -> float:
    """Of each Gaussian at the start, the lower the more photos show the same."""
    return OPACITIES.get(photos, OPACITIES[4])


class PixelGrid(NamedTuple):
    """Every ``stride``-th pixel of a photo that has depth: h × w of them, of which P are kept."""

    photo: int  # its place in the capture
    camera: Cameras
    stride: int
    rows: Tensor  # [h, w] int64, of the photo's pixels
    columns: Tensor  # [h, w]
    depth: Tensor  # [h, w] float64 z-depth, scene units, known everywhere
    rgb: Tensor  # [h, w, 3] float32 in [0, 1]
    kept: Tensor  # [h, w] bool: not masked out

    def gaussians(self, opacity: float) -> Gaussians:
        """One for each kept pixel, row by row."""
        rows, columns, depth = (one[self.kept] for one in (self.rows, self.columns, self.depth))
        xyz = on_rays(self.camera, columns, rows, depth)
        return Gaussians.isotropic(xyz.float(), self.rgb[self.kept], self.width(depth).float(), opacity)

    def width(self, depth: Tensor) -> Tensor:
        """Standard deviation of a Gaussian at z-``depth``."""
        focal = float(self.camera.Ks[0, 0, 0] + self.camera.Ks[0, 1, 1]) / 2
        return 0.6 * self.stride * depth / focal


def pixel_grids(capture: Capture, most: int, fewest_known: float = 0.01) -> list[PixelGrid]:
    """Of each photo with depth at no less than ``fewest_known`` of its pixels; ``most`` pixels in all.

    InputError when the capture has no cameras, or no photo has depth and pixels that its mask keeps.
    """
    if capture.cameras is None:
        raise InputError(f"The photos ({capture.layout}) have no camera poses: none to start from.")
    pixels = sum(photo.width * photo.height for photo in capture.photos)
    stride = max(1, int(np.ceil((pixels / most) ** 0.5)))
    while sum(len(_every(p.height, stride)) * len(_every(p.width, stride)) for p in capture.photos) > most:
        stride += 1
    grids = [
        _of_photo(photo, i, capture.cameras.select([i]), stride, fewest_known)
        for i, photo in enumerate(capture.photos)
    ]
    found = [grid for grid in grids if grid is not None]
    if not found:
        raise InputError(
            f"No photo ({capture.layout}) has depth that its mask keeps, to start from. Choose a --geometry."
        )
    return found


def _every(length: int, stride: int) -> range:
    """The middle of each ``stride`` pixels."""
    return range(stride // 2, length, stride)


def filled(depth: np.ndarray) -> np.ndarray | None:
    """Depth [H, W] with unknown pixels (0) taken from the nearest that is known; None where none is."""
    if not (depth > 0).any():
        return None
    nearest = distance_transform_edt(depth <= 0, return_distances=False, return_indices=True)
    return np.asarray(depth[tuple(nearest)])


def _of_photo(photo: Photo, index: int, camera: Cameras, stride: int, fewest: float) -> PixelGrid | None:
    known = None if photo.depth is None else photo.depth()
    if known is None or (known > 0).mean() < fewest:
        return None
    depth = filled(known)
    assert depth is not None
    picture = photo.decode()
    rows, columns = np.meshgrid(_every(photo.height, stride), _every(photo.width, stride), indexing="ij")
    kept = np.ones(rows.shape, bool) if picture.mask is None else picture.mask[rows, columns] >= KEEP_FROM
    if not kept.any():
        return None
    return PixelGrid(
        index,
        camera,
        stride,
        torch.from_numpy(rows),
        torch.from_numpy(columns),
        torch.from_numpy(depth[rows, columns].astype(np.float64)),
        torch.from_numpy(picture.rgb[rows, columns].astype(np.float32) / 255),
        torch.from_numpy(kept),
    )


def on_rays(camera: Cameras, columns: Tensor, rows: Tensor, depth: Tensor) -> Tensor:
    """World points [P, 3] float64 at z-``depth`` [P] behind the centres of pixels of the one ``camera``."""
    K, viewmat = camera.Ks[0].double(), camera.viewmats[0].double()
    flat = torch.stack([columns + 0.5, rows + 0.5, torch.ones_like(columns)], -1).double()
    local = (flat @ torch.linalg.inv(K).T) * depth[:, None].double()
    points: Tensor = (local - viewmat[:3, 3]) @ viewmat[:3, :3]
    return points
