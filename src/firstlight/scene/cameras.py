"""Where photos were taken from, and through which lens."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from firstlight.scene.similarity import Similarity

CameraModel = Literal["pinhole", "fisheye", "orthographic", "equirectangular"]
ROUNDING = 1e-6  # of how far cameras stand from the origin: of float32 poses, their places are no surer


def unit_of(extent: float) -> float:
    """The length that counts as 1 in a scene of ``extent``: a power of ten.

    Some numbers of papers are lengths in whatever unit structure from motion gave. Its scenes are some 1 to
    10 large, and those of photos without cameras here 1, or a little less once some are held out: between
    0.1 and 10 the unit is 1. For others it is the power of ten nearest to 1 that brings them there, so that
    cameras may be given in metres or in millimetres. 1 where the extent is 0 or not finite.
    """
    if not math.isfinite(extent) or extent <= 0:
        return 1.0
    exponent = Decimal(extent).adjusted()  # exactly: a logarithm may be rounded up to the next whole number
    return float(10.0 ** (exponent if exponent >= 0 else exponent + 1))


def look_at(centers: Tensor, target: Tensor, down: Tensor) -> Tensor:
    """World-to-camera matrices [C, 4, 4] of cameras at ``centers`` [C, 3] that look at ``target`` [3].

    Their y axes point about ``down`` [3]; for one that looks straight along it any way up is as good.
    """
    forward = normalize(target - centers, dim=1)
    right = torch.linalg.cross(down.expand_as(forward), forward)
    other = torch.eye(3).to(forward)[forward.abs().argmin(1)]
    straight = right.norm(dim=1, keepdim=True) < 1e-6 * down.norm()
    right = normalize(torch.where(straight, torch.linalg.cross(other, forward), right), dim=1)
    viewmats = torch.eye(4).to(forward).repeat(len(forward), 1, 1)
    viewmats[:, :3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], 1)
    viewmats[:, :3, 3] = -(viewmats[:, :3, :3] @ centers[:, :, None])[..., 0]
    return viewmats


@dataclass(eq=False)
class Cameras:
    """C cameras: OpenCV axes (x right, y down, z forward), pixel centres at +0.5.

    ``distortion`` holds OpenCV's coefficients: k1 k2 p1 p2 k3 k4 k5 k6 for a pinhole camera (rational
    model), k1 k2 k3 k4 0 0 0 0 for a fisheye (Kannala–Brandt). None means that there is none.
    For equirectangular cameras ``Ks`` is not used.
    """

    viewmats: Tensor  # [C, 4, 4] world → camera
    Ks: Tensor  # [C, 3, 3] pixels
    width: Tensor  # [C] int64
    height: Tensor  # [C] int64
    model: CameraModel = "pinhole"
    distortion: Tensor | None = None  # [C, 8]

    def __post_init__(self) -> None:
        if self.model not in get_args(CameraModel):
            raise ValueError(f"model: expected one of {', '.join(get_args(CameraModel))}, got {self.model!r}")
        c = len(self.viewmats)
        wanted = {"viewmats": (c, 4, 4), "Ks": (c, 3, 3), "width": (c,), "height": (c,)}
        for name, shape in wanted.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"{name}: expected {list(shape)}, got {list(found)}")
        if self.distortion is not None and tuple(self.distortion.shape) != (c, 8):
            raise ValueError(f"distortion: expected {[c, 8]}, got {list(self.distortion.shape)}")

    def __len__(self) -> int:
        return len(self.viewmats)

    @property
    def rotations(self) -> Tensor:
        """World → camera [C, 3, 3]."""
        return self.viewmats[:, :3, :3]

    @property
    def centers(self) -> Tensor:
        """Where the cameras stand in the world [C, 3]."""
        return -(self.rotations.mT @ self.viewmats[:, :3, 3:]).squeeze(-1)

    @property
    def extent(self) -> float:
        """1.1 × the largest distance of a camera from their mean, the scene size of 3DGS's rates."""
        centers = self.centers.double()
        return float(1.1 * (centers - centers.mean(0)).norm(dim=-1).max())

    @property
    def apart(self) -> bool:
        """Whether they stand in different places: one camera does not, nor do the faces of one panorama."""
        return self.extent > ROUNDING * float(self.centers.norm(dim=-1).max())

    @property
    def undistorted(self) -> bool:
        """True when every camera is a plain pinhole: what the rasteriser and the fit work on."""
        return self.model == "pinhole" and (self.distortion is None or not bool(self.distortion.any()))

    def project(self, xyz: Tensor) -> tuple[Tensor, Tensor]:
        """Columns and rows [P, 2] of points [P, 3] in the picture of the one camera, and z-depths [P].

        In the type of ``xyz``, without distortion. What is not before the camera has no place in its picture:
        there only the depth means something.
        """
        pose, K = self.viewmats[0].to(xyz), self.Ks[0].to(xyz)
        local = xyz @ pose[:3, :3].T + pose[:3, 3]
        return (local @ K.T)[:, :2] / local[:, 2:].clamp(min=1e-9), local[:, 2]

    def select(self, index: Tensor | list[int] | slice) -> Cameras:
        """Those at ``index``, still with a leading C."""
        if isinstance(index, list):
            index = torch.tensor(index, dtype=torch.long)
        return replace(
            self,
            viewmats=self.viewmats[index],
            Ks=self.Ks[index],
            width=self.width[index],
            height=self.height[index],
            distortion=None if self.distortion is None else self.distortion[index],
        )

    def transform(self, similarity: Similarity) -> Cameras:
        """The cameras that see a scene moved by ``similarity`` as these see it where it was.

        Lengths along the viewing axis grow by its scale, so depths do too. Orthographic cameras, whose
        pictures do not shrink with distance, take fewer pixels for a length instead.
        """
        rotation = similarity.rotation.to(self.viewmats)
        viewmats = self.viewmats.clone()
        viewmats[:, :3, :3] = self.rotations @ rotation.T
        shift = similarity.translation.to(self.viewmats)
        viewmats[:, :3, 3] = similarity.scale * self.viewmats[:, :3, 3] - viewmats[:, :3, :3] @ shift
        Ks = self.Ks.clone()
        if self.model == "orthographic":
            Ks[:, :2, :2] /= similarity.scale
        return replace(self, viewmats=viewmats, Ks=Ks)

    def resized(self, width: Tensor, height: Tensor) -> Cameras:
        """The same lenses over pictures of another size ([C] each); principal points scale with them."""
        scale = torch.stack([width / self.width, height / self.height], -1).to(self.Ks)  # [C, 2]
        Ks = self.Ks.clone()
        Ks[:, :2] *= scale[:, :, None]
        return replace(self, Ks=Ks, width=width, height=height)
