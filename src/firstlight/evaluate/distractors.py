"""Pieces of other photos pasted into photos: what a fit that leaves out passers-by is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from firstlight.scene import Capture, Photo, Picture

Pixels = npt.NDArray[np.uint8]
CORNERS = 9  # of an outline before it is smoothed
MARGIN = 0.05  # of the photo's sides, in which no piece has its middle


class Pasted(NamedTuple):
    """A photo with something pasted into it, and where."""

    rgb: Pixels  # [H, W, 3]
    where: npt.NDArray[np.bool_]  # [H, W]


def with_distractors(
    capture: Capture, sources: Sequence[Pixels], *, share: float = 0.4, area: float = 0.15, seed: int = 0
) -> tuple[Capture, list[npt.NDArray[np.bool_]]]:
    """The capture with a piece of a random source in ``share`` of its photos, and where it is [H, W] in each.

    A piece covers about ``area`` of its photo.
    """
    rng = np.random.default_rng(seed)
    count = round(share * len(capture))
    chosen = set(rng.choice(len(capture), count, replace=False).tolist())
    photos: list[Photo] = []
    where: list[npt.NDArray[np.bool_]] = []
    for index, photo in enumerate(capture.photos):
        if index not in chosen:
            photos.append(photo)
            where.append(np.zeros((photo.height, photo.width), bool))
            continue
        own = photo.decode()
        pasted = paste(own.rgb, sources[int(rng.integers(len(sources)))], area, rng)
        photos.append(replace(photo, decode=partial(_given, Picture(pasted.rgb, own.mask))))
        where.append(pasted.where)
    return replace(capture, photos=photos), where


def paste(rgb: Pixels, source: Pixels, area: float, rng: np.random.Generator) -> Pasted:
    """A piece of ``source`` [h, w, 3] in a photo [H, W, 3]."""
    height, width = rgb.shape[:2]
    where = outline(height, width, area, rng)
    rows, columns = np.nonzero(where)
    tall, broad = np.ptp(rows) + 1, np.ptp(columns) + 1
    larger = max(1.0, tall / source.shape[0], broad / source.shape[1])
    # From a window at least as large as the piece and at most three times, so that it shows something.
    window = max(1.0, min(3.0, min(source.shape[0] / tall, source.shape[1] / broad))) / larger
    h, w = max(1, int(tall * window)), max(1, int(broad * window))
    top = rng.integers(source.shape[0] - h + 1)
    left = rng.integers(source.shape[1] - w + 1)
    piece = cv2.resize(
        source[top : top + h, left : left + w], (int(broad), int(tall)), interpolation=cv2.INTER_AREA
    )
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    painted = rgb.copy()
    painted[where] = piece[rows - rows.min(), columns - columns.min()]
    return Pasted(painted, where)


def outline(height: int, width: int, area: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """A smooth blob [height, width] that covers about ``area`` of it, anywhere but at its very edge."""
    angle = 2 * np.pi * (np.arange(CORNERS) + rng.uniform(-0.3, 0.3, CORNERS)) / CORNERS
    corners = rng.uniform(0.6, 1.4, CORNERS)[:, None] * np.stack(
        [np.cos(angle), rng.uniform(0.8, 1.6) * np.sin(angle)], -1
    )
    x, y = corners.T
    unit = 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    corners *= (area * height * width / unit) ** 0.5
    middle = rng.uniform(MARGIN, 1 - MARGIN, 2) * (width, height)
    reach = np.abs(corners).max(0)
    middle = np.clip(
        middle,
        np.minimum(reach, (width / 2, height / 2)),
        np.maximum((width, height) - reach, (width / 2, height / 2)),
    )
    drawn = np.zeros((height, width), np.uint8)
    cv2.fillPoly(drawn, [np.rint(corners + middle).astype(np.int32)], 255)
    # Blurring and cutting at the half rounds the corners.
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), max(1.0, 0.02 * width)) >= 128)


def _given(picture: Picture) -> Picture:
    return picture
