"""Things that are each other's mirror image: two houses wall to wall, or what a selfie camera shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from firstlight.poses._features import Features, Pair
from firstlight.poses._matching import match_nearest
from firstlight.poses._pairs import Links, no_link, over_pairs
from firstlight.progress import Progress

COMPARED = 1024  # keypoints of each photo
MANY = 60  # of them that match the mirror image of the other photo, and
CLEARLY = 3.0  # times as many as match the photo itself: a symmetrical facade seen from both sides has fewer

# Of SIFT's 4 rows × 4 columns × 8 directions, columns along the keypoint's own direction.
_FLIPPED = np.arange(128).reshape(4, 4, 8)[::-1, :, (-np.arange(8)) % 8].ravel()


def flipped(descriptors: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """SIFT's descriptors [N, 128] as they would be in the mirror image of the photo."""
    return np.ascontiguousarray(descriptors[:, _FLIPPED])


def without_mirrored(features: Sequence[Features], links: Links, progress: Progress) -> Links:
    """``links``, but nothing between photos of which one is like the other's mirror image.

    Patterns that are symmetrical themselves, such as a facade or a tablecloth, are found again in a mirrored
    photo, and their matches have a geometry that nothing contradicts but all that does not match.
    ``features``: SIFT's.
    """

    def is_mirrored(pair: Pair) -> bool:
        a, b = (features[i].descriptors[:COMPARED] for i in pair)
        many = len(match_nearest(a, flipped(b)))
        return many >= MANY and many > CLEARLY * len(match_nearest(a, b))

    verified = [pair for pair, link in links.items() if link.verified]
    found = over_pairs(is_mirrored, verified, "Verifying", progress)
    return {pair: no_link() if found.get(pair, False) else link for pair, link in links.items()}
