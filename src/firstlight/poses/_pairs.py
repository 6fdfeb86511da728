"""Which photos see the same things: matching and two-view geometry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pycolmap
import torch

from firstlight.poses._features import Features
from firstlight.poses._matching import match
from firstlight.progress import Progress
from firstlight.scene import Photo

Pair = tuple[int, int]  # first < second

EXHAUSTIVE = 20  # photos; up to here every pair is matched in full
PREVIEW = 1024  # keypoints compared to find out which pairs are worth it (Wu 2013, preemptive matching)
PREVIEW_LARGE = 400  # the same for captures of more than LARGE photos
LARGE = 150
PARTNERS = 12  # every photo is matched in full with at least that many others
PROMISING = 24  # preview matches that make a pair worth it in any case
NEIGHBOURS = 6  # frames of a video before and after
MIN_INLIERS = 15
FULL = 4096  # keypoints compared in a full match
CHANCE = 12  # matches; photos of different places share fewer than that by chance


@dataclass(frozen=True, eq=False)
class Link:
    """What two photos share."""

    matches: npt.NDArray[np.uint32]  # [M, 2]
    geometry: pycolmap.TwoViewGeometry  # has fewer than MIN_INLIERS inliers where none was found

    @property
    def inliers(self) -> int:
        return len(self.geometry.inlier_matches)

    @property
    def verified(self) -> bool:
        return self.inliers >= MIN_INLIERS


Links = dict[Pair, Link]


@contextmanager
def torch_on_one_thread() -> Iterator[int]:
    """Pairs are shared out over threads; torch inside each of them then keeps to its own.

    Gives how many threads torch would have used.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


def link_photos(
    photos: Sequence[Photo],
    features: Sequence[Features],
    cameras: Sequence[pycolmap.Camera],
    seed: int,
    progress: Progress,
    pairs: Sequence[Pair] | None = None,
    count: int = FULL,
) -> Links:
    """Match the pairs that are worth it, or ``pairs``, and fit their two-view geometry.

    ``cameras``: one a photo; ``count``: keypoints compared, those of the largest scale.
    """
    if pairs is None:
        pairs = choose_pairs(photos, features, progress)
    points = [f.xy.astype(np.float64) for f in features]
    options = two_view_options(seed)

    def link(pair: Pair) -> Link:
        i, j = pair
        matches = match(features[i], features[j], count)
        if len(matches) < MIN_INLIERS:
            return Link(matches, pycolmap.TwoViewGeometry())
        geometry = pycolmap.estimate_two_view_geometry(
            cameras[i], points[i], cameras[j], points[j], matches, options
        )
        return Link(matches, geometry)

    links: Links = {}
    with (
        torch_on_one_thread() as threads,
        ThreadPoolExecutor(threads) as pool,
        progress.stage("Matching", len(pairs)) as stage,
    ):
        for pair, found in zip(pairs, pool.map(link, pairs), strict=True):
            links[pair] = found
            stage.advance()
    return links


def two_view_options(seed: int) -> pycolmap.TwoViewGeometryOptions:
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = MIN_INLIERS
    options.ransac.random_seed = seed
    return options


def choose_pairs(photos: Sequence[Photo], features: Sequence[Features], progress: Progress) -> list[Pair]:
    """All pairs of a small capture; of a larger one those that a quick look finds promising.

    The quick look compares few keypoints of the largest scale. Frames of a video are in any case matched
    with their neighbours in time.
    """
    usable = [i for i, f in enumerate(features) if len(f) >= MIN_INLIERS]
    pairs = list(combinations(usable, 2))
    if len(usable) <= EXHAUSTIVE:
        return pairs
    count = PREVIEW if len(usable) <= LARGE else PREVIEW_LARGE
    with (
        torch_on_one_thread() as threads,
        ThreadPoolExecutor(threads) as pool,
        progress.stage("Looking for overlap", len(pairs)) as stage,
    ):
        shared = np.zeros((len(features), len(features)), np.int64)

        def preview(pair: Pair) -> int:
            return len(match(features[pair[0]], features[pair[1]], count))

        for (i, j), n in zip(pairs, pool.map(preview, pairs), strict=True):
            shared[i, j] = shared[j, i] = n
            stage.advance()
    return sorted(promising_pairs(shared, usable) | set(neighbours_in_time(photos, usable)))


def promising_pairs(shared: npt.NDArray[np.int64], usable: Sequence[int]) -> set[Pair]:
    """Pairs that share enough of a quick look, and each photo's best PARTNERS."""
    chosen: set[Pair] = set()
    for i in usable:
        best = np.argsort(-shared[i], kind="stable")[:PARTNERS]
        chosen |= {(min(i, j), max(i, j)) for j in best.tolist() if shared[i, j] > 0}
        chosen |= {(min(i, j), max(i, j)) for j in np.flatnonzero(shared[i] >= PROMISING).tolist()}
    return chosen


def neighbours_in_time(photos: Sequence[Photo], usable: Sequence[int]) -> Iterable[Pair]:
    """Pairs of frames that follow each other, where photos carry times."""
    timed = sorted((photos[i].time, i) for i in usable if photos[i].time is not None)
    order = [i for _, i in timed]
    for place, i in enumerate(order):
        for j in order[place + 1 : place + 1 + NEIGHBOURS]:
            yield (min(i, j), max(i, j))
