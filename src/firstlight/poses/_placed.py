"""What came of placing photos."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from firstlight.progress import Progress
from firstlight.scene import Cameras, Capture


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
    confidence: float | None = None  # of a placed photo, from 0 to 1: how firmly its points hold it


@dataclass(frozen=True, eq=False)
class Placed:
    """The photos that could be placed, and a verdict on each that was given."""

    capture: Capture  # of the placed photos: cameras with distortion, points with tracks
    # One for each photo that was given, in their order; then those that nobody tried to place; then those
    # that were to be placed against the others, in their order too.
    verdicts: list[Verdict]
    method: str  # how it was done, in words

    @property
    def is_refined(self) -> bool:
        """Whether a fit has moved these cameras, which it does at its end."""
        return self.method.endswith(_REFINED)


_REFINED = "; training cameras refined with the scene"


def refined(placed: Placed, seen: Capture, cameras: Cameras, train: list[int]) -> Placed:
    """``placed`` with the poses and focal lengths of the photos ``train`` moved as the fit moved them.

    ``seen`` is the undistorted capture of the fit, ``cameras`` its cameras [P] afterwards. Undistorting keeps
    poses; that a focal length changes by the same factor through either lens is exact without distortion.
    """
    before, old = seen.cameras, placed.capture.cameras
    assert before is not None
    assert old is not None
    place = {photo.name: i for i, photo in enumerate(placed.capture.photos)}
    rows = [place[seen.photos[i].name] for i in train]
    viewmats, Ks = old.viewmats.clone(), old.Ks.clone()
    viewmats[rows] = cameras.viewmats[train].to(viewmats)
    zoom = (cameras.Ks[train] / before.Ks[train])[:, [0, 1], [0, 1]]  # [T, 2]
    Ks[rows, 0, 0] *= zoom[:, 0].to(Ks)
    Ks[rows, 1, 1] *= zoom[:, 1].to(Ks)
    moved = replace(placed.capture, cameras=replace(old, viewmats=viewmats, Ks=Ks))
    names = {seen.photos[i].name for i in train}
    verdicts = [
        replace(one, reason=f"{one.reason}; refined with the scene") if one.name in names else one
        for one in placed.verdicts
    ]
    return Placed(moved, verdicts, placed.method + _REFINED)


class Method(Protocol):
    """A way from photos to cameras: structure from motion, learned geometry …"""

    def __call__(self, capture: Capture, *, seed: int, progress: Progress) -> Placed:
        """InputError, with a word on what to photograph next, when no two photos can be placed."""
