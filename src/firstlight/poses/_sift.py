"""SIFT (Lowe 2004) with RootSIFT's descriptors (Arandjelović 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from firstlight.poses._features import Features, Matches, pixels_of
from firstlight.poses._matching import UNIT, match_nearest
from firstlight.scene import Photo


@dataclass(frozen=True)
class Sift:
    """How keypoints are looked for."""

    max_size: int = 1600  # pixels of the long side of the picture that is looked at
    enlarge_to: int = 0  # enlarge smaller photos to this long side, at most twice
    count: int = 8192  # at most: half of them the largest, then those of highest contrast
    contrast: float = 0.02  # of a keypoint; COLMAP's 0.0067 × 3 layers an octave

    @property
    def at_once(self) -> int:
        """OpenCV uses every core inside; two photos keep it busy. The scales of 1600 pixels take 400 MB."""
        return 1 if self.enlarge_to > 0 else 2

    def describe(self, photo: Photo) -> Features:
        picture = photo.resized(self.max_size).decode()
        rgb, mask = picture.rgb, picture.mask
        scale = min(2.0, self.enlarge_to / max(rgb.shape[:2]))
        if scale > 1:
            larger = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            rgb = np.asarray(larger, np.uint8)
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        height, width = grey.shape
        detector = cv2.SIFT.create(0, 3, self.contrast, 10, 1.6, cv2.CV_32F, True)
        keypoints = _chosen(detector.detect(grey, None), mask, width, height, self.count)
        if not keypoints:
            return Features.none()
        keypoints, descriptors = detector.compute(grey, keypoints)
        # OpenCV counts from the first pixel's centre.
        xy = np.array([k.pt for k in keypoints], np.float32) + 0.5
        column, row = pixels_of(xy, width, height)
        to_photo = np.array([photo.width / width, photo.height / height], np.float32)
        size = (photo.width, photo.height)
        return Features(xy * to_photo, root_sift(descriptors), rgb[row, column], size, UNIT)

    def prepare(self) -> None:
        pass

    def match(self, a: Features, b: Features, count: int | None = None) -> Matches:
        return match_nearest(a.descriptors[:count], b.descriptors[:count])


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
        column, row = pixels_of(xy, width, height)
        keep = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)[row, column] > 0
        keypoints = [k for k, kept in zip(keypoints, keep.tolist(), strict=True) if kept]
    # By everything, so that the order does not hang on how OpenCV's threads took turns.
    keypoints = sorted(keypoints, key=lambda k: (-k.size, k.pt, k.angle))
    large, rest = keypoints[: count // 2], keypoints[count // 2 :]
    rest = sorted(rest, key=lambda k: (-k.response, k.pt, k.angle))[: count - len(large)]
    return large + sorted(rest, key=lambda k: (-k.size, k.pt, k.angle))


def root_sift(descriptors: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Square roots of L1-normalised histograms: their dot product compares histograms as Hellinger does."""
    total = np.maximum(descriptors.sum(1, keepdims=True), 1e-12)
    return np.asarray(np.minimum(np.rint(UNIT * np.sqrt(descriptors / total)), 255), np.uint8)
