"""One kind of keypoint, and another that is asked where photos are missing: both then count together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firstlight.poses._features import Features, Matcher, Matches, Pair, extract_all
from firstlight.poses._pairs import Links, match_photos
from firstlight.progress import Progress
from firstlight.scene import Photo

CONFIDENT = 0.5  # probability that a match is right, as the network says, from which it counts as sure
SURE = 30  # such matches, without which none of a pair is believed: two facades of one building have 20
_LENGTH = 512.0  # of the descriptors of both kinds, side by side


@dataclass(frozen=True)
class Backed:
    """``first``, and ``last``, which structure from motion asks about photos that the first cannot place."""

    first: Matcher
    last: Matcher

    @property
    def at_once(self) -> int:
        return self.first.at_once

    def prepare(self) -> None:
        self.first.prepare()
        self.last.prepare()

    def describe(self, photo: Photo) -> Features:
        return self.first.describe(photo)

    def match(self, a: Features, b: Features, count: int | None = None) -> Matches:
        return self.first.match(a, b, count)


def back_up(
    photos: Sequence[Photo],
    features: Sequence[Features],
    links: Links,
    missing: set[int],
    matcher: Matcher,
    progress: Progress,
) -> tuple[list[Features], dict[Pair, Matches]]:
    """Features of ``matcher`` beside those that there are, and matches of both kinds.

    Looked at are the pairs of a missing photo with any other, and those whose geometry is known already:
    through these, what the missing photo shows becomes points of the model.
    """
    others = extract_all(photos, matcher, progress)
    usable = [i for i, one in enumerate(others) if len(one) > 0]
    pairs = [
        (i, j)
        for i in usable
        for j in usable
        if i < j and ({i, j} & missing or ((i, j) in links and links[i, j].verified))
    ]
    found = match_photos(photos, others, matcher, progress, pairs)
    matches = {pair: link.matches for pair, link in links.items()}
    for (i, j), more in found.items():
        if np.count_nonzero(more.confidence >= CONFIDENT) < SURE:
            continue
        own = matches.get((i, j), Matches.none())
        shift = np.array([len(features[i]), len(features[j])], np.uint32)
        matches[i, j] = Matches(
            np.concatenate([own.rows, more.rows + shift]),
            np.concatenate([own.confidence, more.confidence]),
        )
    return side_by_side(features, others), matches


def side_by_side(first: Sequence[Features], second: Sequence[Features]) -> list[Features]:
    """Of each photo the keypoints of the first kind, then those of the second.

    Their descriptors are at right angles to each other, so that they never match.
    """
    columns = [max(one.descriptors.shape[1] for one in kind) for kind in (first, second)]
    joined = []
    for a, b in zip(first, second, strict=True):
        stored = np.zeros((len(a) + len(b), sum(columns)), np.int16)
        if len(a):
            stored[: len(a), : columns[0]] = _at_length(a)
        if len(b):
            stored[len(a) :, columns[0] :] = _at_length(b)
        xy, rgb = np.concatenate([a.xy, b.xy]), np.concatenate([a.rgb, b.rgb])
        size = a.size if len(a) else b.size
        joined.append(Features(xy, stored, rgb, size, _LENGTH, a.trouble))
    return joined


def _at_length(features: Features) -> npt.NDArray[np.int16]:
    scaled = features.descriptors.astype(np.float32) * (_LENGTH / features.length)
    return np.asarray(np.rint(scaled), np.int16)
