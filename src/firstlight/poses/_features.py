"""Points of a photo that can be found again in another one (Lowe 2004; RootSIFT: Arandjelović 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from firstlight.errors import InputError
from firstlight.progress import Progress
from firstlight.scene import Photo

# OpenCV uses every core inside; two keep it busy. The scales of a 1600 px photo take 400 MB.
_AT_ONCE = 2


@dataclass(frozen=True, eq=False)
class Features:
    """N keypoints of one photo, those of the largest scale first."""

    xy: npt.NDArray[np.float32]  # [N, 2] pixels of the photo, pixel centres at +0.5
    descriptors: npt.NDArray[np.uint8]  # [N, 128] about 512 × a unit vector
    rgb: npt.NDArray[np.uint8]  # [N, 3] the colour there
    trouble: str | None = None  # why the photo could not be looked at

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True)
class Sift:
    """How keypoints are looked for."""

    max_size: int = 1600  # pixels of the long side of the picture that is looked at
    enlarge_to: int = 0  # enlarge smaller photos to this long side, at most twice
    count: int = 8192  # at most: half of them the largest, then those of highest contrast
    contrast: float = 0.02  # of a keypoint; COLMAP's 0.0067 × 3 layers an octave


def extract_all(photos: list[Photo], sift: Sift, progress: Progress) -> list[Features]:
    """Features of every photo; one that cannot be decoded has none, and its ``trouble`` says why."""
    features: list[Features] = []
    with progress.stage("Features", len(photos)) as stage, ThreadPoolExecutor(_AT_ONCE) as pool:
        for found in pool.map(lambda photo: extract(photo, sift), photos):
            features.append(found)
            stage.advance()
    return features


def extract(photo: Photo, sift: Sift) -> Features:
    """Features of one photo, none where its mask says to ignore it."""
    try:
        picture = photo.resized(sift.max_size).decode()
    except InputError as error:
        return _none(str(error))
    rgb, mask = picture.rgb, picture.mask
    scale = min(2.0, sift.enlarge_to / max(rgb.shape[:2]))
    if scale > 1:
        larger = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        rgb = np.asarray(larger, np.uint8)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    detector = cv2.SIFT.create(0, 3, sift.contrast, 10, 1.6, cv2.CV_32F, True)
    keypoints = _chosen(detector.detect(grey, None), mask, width, height, sift.count)
    if not keypoints:
        return _none()
    keypoints, descriptors = detector.compute(grey, keypoints)
    xy = np.array([k.pt for k in keypoints], np.float32) + 0.5  # OpenCV counts from the first pixel's centre
    column, row = _pixels(xy, width, height)
    to_photo = np.array([photo.width / width, photo.height / height], np.float32)
    return Features(xy * to_photo, root_sift(descriptors), rgb[row, column])


def _chosen(
    keypoints: Sequence[cv2.KeyPoint],
    mask: npt.NDArray[np.uint8] | None,
    width: int,
    height: int,
    count: int,
) -> list[cv2.KeyPoint]:
    """Those on kept pixels: half of ``count`` of the largest scale, as they are found again most surely, then
    those of the highest contrast, as they are found to the smallest fraction of a pixel.
    """
    if mask is not None and keypoints:
        xy = np.array([k.pt for k in keypoints], np.float32) + 0.5
        column, row = _pixels(xy, width, height)
        keep = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)[row, column] > 0
        keypoints = [k for k, kept in zip(keypoints, keep.tolist(), strict=True) if kept]
    # By everything, so that the order does not hang on how OpenCV's threads took turns.
    keypoints = sorted(keypoints, key=lambda k: (-k.size, k.pt, k.angle))
    large, rest = keypoints[: count // 2], keypoints[count // 2 :]
    rest = sorted(rest, key=lambda k: (-k.response, k.pt, k.angle))[: count - len(large)]
    return large + sorted(rest, key=lambda k: (-k.size, k.pt, k.angle))


def _pixels(
    xy: npt.NDArray[np.float32], width: int, height: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Column and row that points [N, 2] fall on."""
    whole = np.floor(xy).astype(np.int64)
    return np.clip(whole[:, 0], 0, width - 1), np.clip(whole[:, 1], 0, height - 1)


def root_sift(descriptors: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Square roots of L1-normalised histograms: their dot product compares histograms as Hellinger does."""
    total = np.maximum(descriptors.sum(1, keepdims=True), 1e-12)
    return np.asarray(np.minimum(np.rint(512 * np.sqrt(descriptors / total)), 255), np.uint8)


def _none(trouble: str | None = None) -> Features:
    return Features(
        np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8), np.zeros((0, 3), np.uint8), trouble
    )
