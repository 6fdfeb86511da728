"""From photos to cameras."""

from __future__ import annotations

from dataclasses import replace

import torch

from firstlight.poses._depths import depths_to_scene
from firstlight.poses._ladder import structure_from_motion
from firstlight.poses._placed import Method, Placed, Verdict
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

    Cameras and points that the capture may already have are not looked at; its depths are scaled to the new
    ones. The same photos and seed give the same result bit for bit on the same machine. Photos that cannot be
    placed are left out: the verdicts and the capture's ``set_aside`` say why. InputError, with a word on what
    to photograph next, when no two photos can be placed.
    """
    placed = method(capture, seed=seed, progress=progress or Silent())
    settled = replace(upright(placed.capture), photos=placed.capture.photos)  # with depths as they came
    return Placed(depths_to_scene(settled), placed.verdicts, placed.method)


def given(capture: Capture) -> Placed:
    """A capture that came with cameras, in the form of an estimate; its frame is left as it is.

    ValueError when it has none.
    """
    if capture.cameras is None:
        raise ValueError("the capture has no cameras")
    seen = torch.zeros(len(capture), dtype=torch.long)
    if capture.points is not None:
        seen = torch.bincount(capture.points.track_photo, minlength=len(capture))
    verdicts = [
        Verdict(photo.name, True, "its camera came with the photos", None, count)
        for photo, count in zip(capture.photos, seen.tolist(), strict=True)
    ]
    left_out = [Verdict(one.name, False, one.reason) for one in capture.set_aside]
    return Placed(capture, verdicts + left_out, f"cameras from {capture.layout}")
