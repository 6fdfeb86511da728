"""Points of a photo that can be found again in another one, and the protocol that finds and matches them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from firstlight.errors import InputError
from firstlight.progress import Progress
from firstlight.scene import Photo

Pair = tuple[int, int]  # of photos, first < second


@dataclass(frozen=True, eq=False)
class Features:
    """N keypoints of one photo, those that are found again most surely first."""

    xy: npt.NDArray[np.float32]  # [N, 2] pixels of the photo, pixel centres at +0.5
    descriptors: npt.NDArray[Any]  # [N, D] whole numbers: unit vectors times ``length``, rounded
    rgb: npt.NDArray[np.uint8]  # [N, 3] the colour there
    size: tuple[int, int] = (0, 0)  # width and height of the photo
    length: float = 512.0
    trouble: str | None = None  # why the photo could not be looked at

    def __len__(self) -> int:
        return len(self.xy)

    @staticmethod
    def none(trouble: str | None = None) -> Features:
        empty = np.zeros((0, 0), np.uint8)
        return Features(np.zeros((0, 2), np.float32), empty, np.zeros((0, 3), np.uint8), trouble=trouble)


@dataclass(frozen=True, eq=False)
class Matches:
    """Keypoints of two photos that look like the same point."""

    rows: npt.NDArray[np.uint32]  # [M, 2]
    confidence: npt.NDArray[np.float32]  # [M] from 0 to 1; comparable within one matcher only

    def __len__(self) -> int:
        return len(self.rows)

    @staticmethod
    def none() -> Matches:
        return Matches(np.zeros((0, 2), np.uint32), np.zeros(0, np.float32))


class Matcher(Protocol):
    """A kind of keypoint: how it is found, and how two photos' are told to be the same."""

    @property
    def at_once(self) -> int:
        """Photos that are looked at side by side, as memory allows."""

    def prepare(self) -> None:
        """Load what it needs, if that is not done yet. InputError: it is not here, and how to get it."""

    def describe(self, photo: Photo) -> Features:
        """Keypoints of one photo, none where its mask says to ignore it. InputError: it cannot be decoded."""

    def match(self, a: Features, b: Features, count: int | None = None) -> Matches:
        """What two photos share; ``count`` compares only that many keypoints of each, the first ones."""


def extract_all(photos: Sequence[Photo], matcher: Matcher, progress: Progress) -> list[Features]:
    """Features of every photo; one that cannot be decoded has none, and its ``trouble`` says why."""

    def describe(photo: Photo) -> Features:
        try:
            return matcher.describe(photo)
        except InputError as error:
            return Features.none(str(error))

    features: list[Features] = []
    with progress.stage("Features", len(photos)) as stage, ThreadPoolExecutor(matcher.at_once) as pool:
        for found in pool.map(describe, photos):
            features.append(found)
            stage.advance()
    return features


def pixels_of(
    xy: npt.NDArray[np.float32], width: int, height: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Column and row that points [N, 2] fall on."""
    whole = np.floor(xy).astype(np.int64)
    return np.clip(whole[:, 0], 0, width - 1), np.clip(whole[:, 1], 0, height - 1)
