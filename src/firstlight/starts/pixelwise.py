"""One Gaussian for each pixel, on its ray: the start of CoherentGS (Paliwal et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from firstlight.errors import InputError
from firstlight.scene import Cameras, Capture, Gaussians, Photo

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

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras or no photo has depth."""
        cameras = capture.cameras
        if cameras is None:
            raise InputError(f"The photos ({capture.layout}) have no camera poses: none to start from.")
        pixels = sum(photo.width * photo.height for photo in capture.photos)
        stride = max(1, int(np.ceil((pixels / self.most) ** 0.5)))
        opacity = OPACITIES.get(len(capture), OPACITIES[4])
        parts = [
            _of_photo(photo, cameras.select([i]), stride, opacity, self.fewest_known)
            for i, photo in enumerate(capture.photos)
        ]
        found = [part for part in parts if part is not None]
        if not found:
            raise InputError(f"No photo ({capture.layout}) has depth to start from. Choose a --geometry.")
        whole = found[0]
        for part in found[1:]:
            whole = whole.append(part)
        return whole


def filled(depth: np.ndarray) -> np.ndarray | None:
    """Depth [H, W] with unknown pixels (0) taken from the nearest that is known; None where none is."""
    if not (depth > 0).any():
        return None
    nearest = distance_transform_edt(depth <= 0, return_distances=False, return_indices=True)
    return np.asarray(depth[tuple(nearest)])


def _of_photo(photo: Photo, camera: Cameras, stride: int, opacity: float, fewest: float) -> Gaussians | None:
    known = None if photo.depth is None else photo.depth()
    if known is None or (known > 0).mean() < fewest:
        return None
    depth = filled(known)
    assert depth is not None
    picture = photo.decode()
    rows, columns = np.mgrid[stride // 2 : photo.height : stride, stride // 2 : photo.width : stride]
    if picture.mask is not None:
        keep = picture.mask[rows, columns] >= 128
        rows, columns = rows[keep], columns[keep]
    z = torch.from_numpy(depth[rows, columns].astype(np.float64)).reshape(-1)
    xyz = on_rays(camera, torch.from_numpy(columns).reshape(-1), torch.from_numpy(rows).reshape(-1), z)
    rgb = torch.from_numpy(picture.rgb[rows, columns].astype(np.float32) / 255).reshape(-1, 3)
    focal = float(camera.Ks[0, 0, 0] + camera.Ks[0, 1, 1]) / 2
    return Gaussians.isotropic(xyz.float(), rgb, (0.6 * stride * z / focal).float(), opacity)


def on_rays(camera: Cameras, columns: Tensor, rows: Tensor, depth: Tensor) -> Tensor:
    """World points [P, 3] float64 at z-``depth`` [P] behind the centres of pixels of the one ``camera``."""
    K, viewmat = camera.Ks[0].double(), camera.viewmats[0].double()
    flat = torch.stack([columns + 0.5, rows + 0.5, torch.ones_like(columns)], -1).double()
    local = (flat @ torch.linalg.inv(K).T) * depth[:, None].double()
    points: Tensor = (local - viewmat[:3, 3]) @ viewmat[:3, :3]
    return points
