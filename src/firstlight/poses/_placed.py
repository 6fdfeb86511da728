"""What came of placing photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from firstlight.progress import Progress
from firstlight.scene import Capture


@dataclass(frozen=True)
class Verdict:
    """What became of one photo."""

    name: str
    placed: bool
    reason: str  # why it was left out; for a placed photo, on what evidence it stands
    error_px: float | None = None  # mean reprojection error of its points, in its pixels
    observations: int = 0  # scene points that were found in it
    matches: int = 0  # geometrically consistent matches with the photo that shares most with it …
    partner: str | None = None  # … which is this one


@dataclass(frozen=True, eq=False)
class Placed:
    """The photos that could be placed, and a verdict on each that was given."""

    capture: Capture  # of the placed photos: cameras with distortion, points with tracks
    verdicts: list[Verdict]  # one for each photo that was given, in their order; those of another kind last
    method: str  # how it was done, in words


class Method(Protocol):
    """A way from photos to cameras: structure from motion, learned geometry …"""

    def __call__(self, capture: Capture, *, seed: int, progress: Progress) -> Placed:
        """InputError, with a word on what to photograph next, when no two photos can be placed."""
