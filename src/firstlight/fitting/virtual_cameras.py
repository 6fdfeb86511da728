"""Cameras where nobody took a photo: between those of the training photos, and around them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from firstlight.scene import Cameras
from firstlight.scene.rotation import quat_multiply, quat_to_rotmat, rotmat_to_quat

SAME_PLACE = 1e-6  # of the largest distance: cameras that are no farther apart stand in one place


@dataclass(frozen=True)
class VirtualCameras:
    """Draws a camera between a training camera and one of its nearest others, or a little beside that.

    Positions are mixed linearly, rotations on the shortest arc, as LM-Gaussian's (Yu et al. 2024) are
    between consecutive cameras. ``around`` moves the camera off that line by a random vector, up to that many
    times the distance of the two. ``nearest`` limits which others count: photos at opposite sides of a room
    have nothing between them but the furniture. Others in the same place, as the faces of a panorama are,
    count only where there is nobody elsewhere.
    """

    nearest: int = 2
    around: float = 0.1

    def draw(self, camera: Cameras, cameras: Cameras, generator: torch.Generator) -> Cameras:
        """One camera with the lens and the picture of ``camera``; ``cameras`` are those of all photos.

        No gradient goes back to ``camera``: what is seen from nowhere must not move where a photo was taken.
        """
        camera = replace(camera, viewmats=camera.viewmats.detach())
        centers = cameras.centers.double()
        here = camera.centers[0].double()
        apart = (centers - here).norm(dim=-1)
        others = apart.argsort()[1:]  # the first is the camera itself
        elsewhere = others[apart[others] > SAME_PLACE * apart.max()]
        others = (elsewhere if len(elsewhere) else others)[: self.nearest]
        if len(others) == 0:
            return camera
        pick = int(others[int(torch.randint(len(others), (1,), generator=generator))])
        share = float(torch.rand((), dtype=torch.float64, generator=generator))
        off = torch.randn(3, dtype=torch.float64, generator=generator)
        off *= torch.rand((), dtype=torch.float64, generator=generator) / off.norm().clamp(min=1e-12)
        between = mixed(camera.viewmats[0].double(), cameras.viewmats[pick].double(), share)
        between[:3, 3] -= between[:3, :3] @ (self.around * apart[pick] * off)
        return replace(camera, viewmats=between[None].to(camera.viewmats))


def mixed(one: Tensor, other: Tensor, share: float) -> Tensor:
    """The pose [4, 4], world → camera, ``share`` of the way from ``one`` to ``other``."""
    turn = slerp(rotmat_to_quat(one[:3, :3]), rotmat_to_quat(other[:3, :3]), share)
    centers = [-(pose[:3, :3].T @ pose[:3, 3]) for pose in (one, other)]
    pose = torch.eye(4, dtype=one.dtype)
    pose[:3, :3] = quat_to_rotmat(turn)
    pose[:3, 3] = -(pose[:3, :3] @ torch.lerp(centers[0], centers[1], share))
    return pose


def slerp(one: Tensor, other: Tensor, share: float) -> Tensor:
    """The unit quaternion [4] ``share`` of the shorter way from ``one`` to ``other`` (Shoemake 1985)."""
    inverse = one * one.new_tensor([1, -1, -1, -1])
    way = quat_multiply(other, inverse)
    way = torch.where(way[0] < 0, -way, way)
    sine = way[1:].norm()
    angle = share * torch.atan2(sine, way[0])
    axis = way[1:] / sine.clamp(min=1e-12)
    return quat_multiply(torch.cat([angle.cos()[None], angle.sin() * axis]), one)
