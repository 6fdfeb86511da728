"""Which photos see the same things: matching and two-view geometry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pycolmap
import torch

from firstlight.poses._features import Features, Matcher, Matches, Pair
from firstlight.progress import Progress
from firstlight.scene import Photo

T = TypeVar("T")
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

    matches: Matches
    geometry: pycolmap.TwoViewGeometry  # has fewer than MIN_INLIERS inliers where none was found

    @property
    def inliers(self) -> int:
        return len(self.geometry.inlier_matches)

    @property
    def verified(self) -> bool:
        return self.inliers >= MIN_INLIERS


Links = dict[Pair, Link]


def no_link() -> Link:
    """Between photos that share nothing."""
    return Link(Matches.none(), pycolmap.TwoViewGeometry())


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


def match_photos(
    photos: Sequence[Photo],
    features: Sequence[Features],
    matcher: Matcher,
    progress: Progress,
    pairs: Sequence[Pair] | None = None,
    count: int = FULL,
) -> dict[Pair, Matches]:
    """Match the pairs that are worth it, or ``pairs``; ``count``: keypoints compared, the first ones."""
    if pairs is None:
        pairs = choose_pairs(photos, features, matcher, progress)

    def match(pair: Pair) -> Matches:
        return matcher.match(features[pair[0]], features[pair[1]], count)

    return over_pairs(match, pairs, "Matching", progress)


def link_photos(
    features: Sequence[Features],
    cameras: Sequence[pycolmap.Camera],
    matches: Mapping[Pair, Matches],
    seed: int,
    progress: Progress,
) -> Links:
    """Fit the two-view geometry of matched pairs; ``cameras``: one a photo."""
    points = [f.xy.astype(np.float64) for f in features]
    options = two_view_options(seed)

    def link(pair: Pair) -> Link:
        (i, j), found = pair, matches[pair]
        if len(found) < MIN_INLIERS:
            return Link(found, pycolmap.TwoViewGeometry())
        geometry = pycolmap.estimate_two_view_geometry(
            cameras[i], points[i], cameras[j], points[j], found.rows, options
        )
        return Link(found, geometry)

    return over_pairs(link, list(matches), "Verifying", progress)


def over_pairs(
    do: Callable[[Pair], T], pairs: Sequence[Pair], title: str, progress: Progress
) -> dict[Pair, T]:
    """``do`` of every pair, shared out over threads."""
    found: dict[Pair, T] = {}
    with (
        torch_on_one_thread() as threads,
        ThreadPoolExecutor(threads) as pool,
        progress.stage(title, len(pairs)) as stage,
    ):
        for pair, one in zip(pairs, pool.map(do, pairs), strict=True):
            found[pair] = one
            stage.advance()
    return found


def two_view_options(seed: int) -> pycolmap.TwoViewGeometryOptions:
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = MIN_INLIERS
    options.ransac.random_seed = seed
    return options


def choose_pairs(
    photos: Sequence[Photo], features: Sequence[Features], matcher: Matcher, progress: Progress
) -> list[Pair]:
    """All pairs of a small capture; of a larger one those that a quick look finds promising.

    The quick look compares few keypoints of the largest scale. Frames of a video are in any case matched
    with their neighbours in time.
    """
    usable = [i for i, f in enumerate(features) if len(f) >= MIN_INLIERS]
    pairs = list(combinations(usable, 2))
    if len(usable) <= EXHAUSTIVE:
        return pairs
    count = PREVIEW if len(usable) <= LARGE else PREVIEW_LARGE
    shared = np.zeros((len(features), len(features)), np.int64)

    def preview(pair: Pair) -> int:
        return len(matcher.match(features[pair[0]], features[pair[1]], count))

    for (i, j), n in over_pairs(preview, pairs, "Looking for overlap", progress).items():
        shared[i, j] = shared[j, i] = n
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
