"""From photos to cameras."""

from __future__ import annotations

from firstlight.poses._ladder import structure_from_motion
from firstlight.poses._placed import Method, Placed
from firstlight.poses._upright import upright
from firstlight.progress import Progress, Silent
from firstlight.scene import Capture


def estimate(
    capture: Capture,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    method: Method = structure_from_motion,
) -> Placed:
    """Find out where the photos were taken, and sparse points; the scene is set ``upright``.

    Cameras and points that the capture may already have are not looked at. The same photos and seed give
    the same result bit for bit on the same machine. Photos that cannot be placed are left out: the verdicts
    and the capture's ``set_aside`` say why. InputError, with a word on what to photograph next, when no two
    photos can be placed.
    """
    placed = method(capture, seed=seed, progress=progress or Silent())
    return Placed(upright(placed.capture), placed.verdicts, placed.method)
