"""A random start for one object whose outline is known in every photo (SGPose, arXiv 2409.02581)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firstlight.errors import InputError
from firstlight.scene import KEEP_FROM, Cameras, Capture, Gaussians, Photo
from firstlight.starts._sizes import sizes
from firstlight.starts.random_box import along_pixels, pixels_of

CANDIDATES = 200_000  # points along random pixels, of which those inside all outlines span the cuboid
FEWEST = 20  # of them that must be left


@dataclass(frozen=True)
class MaskCuboid:
    """``count`` grey round Gaussians, evenly in the cuboid that the outlines leave for the object.

    The outlines are the photos' masks; seen from its camera, each is a cone, and the object is where all
    cones meet. The cuboid has the axes of the scene, and no point or colour of the photos is used. The
    Gaussians have degree 0 and hold float32.
    """

    count: int = 5000
    opacity: float = 0.1
    scale: float = 1.0  # times the gap between neighbours
    neighbours: int = 3
    needs_masks: ClassVar[bool] = True

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        """InputError when the capture has no cameras, a photo has no mask, or no place is inside all."""
        low, high = cuboid(capture, generator)
        cameras = capture.cameras
        assert cameras is not None
        xyz = low + (high - low) * torch.rand(self.count, 3, dtype=torch.float64, generator=generator)
        return Gaussians.isotropic(
            means=xyz.float(),
            rgb=torch.full((self.count, 3), 0.5),
            scales=sizes(xyz, cameras, self.neighbours, self.scale).float(),
            opacity=self.opacity,
        )


def outline(photo: Photo) -> npt.NDArray[np.uint8]:
    """The mask [H, W] of ``photo``, of which 128 and more are the object. InputError when it has none."""
    mask = photo.decode().mask
    if mask is None:
        raise InputError(
            f"{photo.name}: has no mask, which this recipe takes the object's outline from. "
            "Give pictures with a transparent surrounding (but Blender's, which are laid on white), or masks "
            "(white = object)."
        )
    return mask


def cuboid(capture: Capture, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The least and the greatest corner [3] float64 of what most photos show, and all inside their masks."""
    cameras = capture.cameras
    if cameras is None:
        raise InputError(f"The photos ({capture.layout}) have no camera poses: none to start from.")
    xyz = along_pixels(cameras, CANDIDATES, generator)
    views = torch.zeros(len(xyz), dtype=torch.long)
    for index in range(len(cameras)):
        seen, inside = _seen(xyz, capture, cameras, index)
        keep = inside | ~seen  # a photo may cut off a part of the object …
        xyz, views = xyz[keep], (views + seen.long())[keep]
    xyz = xyz[2 * views > len(cameras)]  # … but most show it
    if len(xyz) < FEWEST:
        raise InputError(
            f"The masks of the photos ({capture.layout}) do not meet in one place. "
            "Check that masks and poses belong together, and that white is the object."
        )
    return xyz.amin(0), xyz.amax(0)


def _seen(xyz: Tensor, capture: Capture, cameras: Cameras, index: int) -> tuple[Tensor, Tensor]:
    """Masks [P] of points that fall into photo ``index``, and of those inside its outline."""
    mask = outline(capture.photos[index])
    place, seen = pixels_of(xyz, cameras, index)
    column, row = place[seen].long().unbind(-1)
    inside = torch.zeros(len(xyz), dtype=torch.bool)
    inside[seen] = torch.from_numpy(mask)[row, column] >= KEEP_FROM
    return seen, inside
