"""Whether anything but the direction of view changed between photos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from firstlight.poses._features import Features, Pair
from firstlight.poses._pairs import Links
from firstlight.scene import Photo

Floats = npt.NDArray[np.float64]

# A turn explains a pair when it leaves three quarters of its matches within this share of the long side.
_EXPLAINED = 0.003
_TRUSTED = 0.9  # of a pair's matches: one that is far off turns all by a degree
_FITS = 4  # of a turn to the matches that the turn before explains best
_FOCALS = np.geomspace(0.4, 6.0, 28)  # tried, of the long side, where EXIF says nothing


def shows_parallax(photos: Sequence[Photo], features: Sequence[Features], links: Links) -> bool:
    """Whether no camera that only turned could have seen the matches of all verified pairs.

    Of each pair the upper quartile counts of how far matches lie from where such a camera would have seen
    them; of all focal lengths the one that explains the pairs best. False without any pair.
    """
    verified = {pair: link.geometry.inlier_matches for pair, link in links.items() if link.verified}
    largest = sorted(verified, key=lambda pair: -len(verified[pair]))  # mostly enough to tell
    focals: Floats = np.array([1.0]) if photos[0].panorama else _FOCALS
    return all(
        any(_left_over(photos, features, pair, verified[pair], f) > _EXPLAINED for pair in largest)
        for f in focals
    )


def _left_over(
    photos: Sequence[Photo],
    features: Sequence[Features],
    pair: Pair,
    matches: npt.NDArray[np.uint32],
    focal: float,
) -> float:
    i, j = pair
    a = _rays(photos[i], features[i].xy[matches[:, 0]], focal)
    b = _rays(photos[j], features[j].xy[matches[:, 1]], focal)
    rows = np.arange(len(a))
    for _ in range(_FITS):
        u, _, vt = np.linalg.svd(b[rows].T @ a[rows])  # the rotation from a to b (Kabsch 1976)
        rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        angle = np.linalg.norm(b - a @ rotation.T, axis=1)
        rows = np.argsort(angle, kind="stable")[: int(np.ceil(_TRUSTED * len(a)))]
    return float(np.quantile(angle, 0.75) * _focal(photos[j], focal))


def _rays(photo: Photo, xy: npt.NDArray[np.float32], focal: float) -> Floats:
    """Unit directions [N, 3] of pixels [N, 2]; ``focal`` of the long side, for photos without EXIF."""
    if photo.panorama:
        longitude = (xy[:, 0] / photo.width - 0.5) * 2 * np.pi
        latitude = (xy[:, 1] / photo.height - 0.5) * np.pi
        level = np.cos(latitude)
        return np.stack([level * np.sin(longitude), np.sin(latitude), level * np.cos(longitude)], -1)
    pixels = _focal(photo, focal) * max(photo.width, photo.height)
    middle = np.array([photo.width / 2, photo.height / 2])
    rays = np.concatenate([(xy - middle) / pixels, np.ones((len(xy), 1))], 1)
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def _focal(photo: Photo, otherwise: float) -> float:
    """Pixels a radian in the middle of a photo, of its long side: the same however the camera is held."""
    if photo.panorama:
        return 1 / (2 * np.pi)
    return otherwise if photo.focal is None else photo.focal / max(photo.width, photo.height)
