"""The 6D pose of an object in a photo, from the object's Gaussians (after SGPose, arXiv 2409.02581).

SGPose trains a network that tells for each pixel which point of the object it shows. Here, keypoints do:
those of the photo are matched with those of pictures rendered from all sides, whose depth says where on the
object they are. PnP gives the pose, and the picture as a whole refines it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from firstlight.errors import InputError
from firstlight.fitting import align_cameras, reach_of
from firstlight.objects._views import views_around
from firstlight.poses import Features, Matcher, Sift, resect
from firstlight.render import near_for, render_camera
from firstlight.scene import Cameras, Capture, Gaussians, Photo, Picture

SIFT = Sift(enlarge_to=1600, contrast=0.01)  # an object fills little of a picture: small things count
SOLID = 0.5  # alpha from which a pixel shows the object
BEST = 5  # views whose matches are used together
FEWEST = 8  # points that must agree on a pose
MAX_ERROR = 3.0  # pixels
STEPS = 20  # of refinement at each scale: PnP ends nearer than a held-out camera may begin


@dataclass(frozen=True, eq=False)
class ObjectPose:
    """Where an object is before the camera of a photo."""

    viewmat: torch.Tensor  # [4, 4] float64, object → camera, in the units of the object's scene
    matched: torch.Tensor  # [4, 4] the same before it was refined
    inliers: int  # points of the object that agree on it …
    matches: int  # … of so many that were matched


class _Side(NamedTuple):
    """One rendered view: its keypoints, and where on the object they are."""

    features: Features
    xyz: npt.NDArray[np.float64]  # [N, 3]


class ObjectModel:
    """An object that can be found in photos: its Gaussians, and keypoints of them seen from all sides."""

    def __init__(
        self,
        gaussians: Gaussians,
        cameras: Cameras,
        *,
        count: int = 60,
        antialiased: bool = False,
        matcher: Matcher = SIFT,
    ) -> None:
        """``cameras`` [C] are those of the photos that the object was made from: plain pinholes."""
        self.matcher = matcher
        self.gaussians = gaussians.detach()
        self.antialiased = antialiased
        apart = cameras.apart
        self.near = near_for(cameras.extent if apart else reach_of(cameras, self.gaussians.means))
        views = views_around(self.gaussians, cameras, count)
        self.sides = [self._side(views.select([i])) for i in range(len(views))]

    def find(self, photo: Photo, camera: Cameras, *, refine: bool = True, seed: int = 0) -> ObjectPose:
        """The object's pose in ``photo``, whose one undistorted ``camera`` gives the lens alone.

        Where the photo has a mask, it is the visible part of the object; without one, everything is looked
        at. InputError when too few points agree: then the object is not in the photo, or not recognised.
        """
        pixels, xyz = self._matches(self.matcher.describe(photo))
        found = resect(pixels, xyz, camera, fewest=FEWEST, max_error=MAX_ERROR, seed=seed)
        if found is None:
            raise InputError(
                f"{photo.name}: the object was not found in it ({len(pixels)} points look alike, but fewer "
                f"than {FEWEST} agree on a pose). Give a photo that shows it larger, or from a side that the "
                "photos of the run show."
            )
        matched = torch.from_numpy(found.viewmat)
        viewmat = self._refined(photo, camera, matched) if refine else matched
        return ObjectPose(viewmat, matched, int(found.inliers.sum()), len(pixels))

    @torch.no_grad()
    def render(self, camera: Cameras) -> tuple[torch.Tensor, torch.Tensor]:
        """Colours with expected depth [H, W, 4], and alpha [H, W]."""
        colors, alpha, _ = render_camera(
            self.gaussians, camera, antialiased=self.antialiased, depth=True, near=self.near
        )
        return colors, alpha

    def _side(self, camera: Cameras) -> _Side:
        colors, alpha = self.render(camera)
        rgb = (255 * colors[..., :3].clamp(0, 1)).round().byte().numpy()
        mask = np.where(alpha.numpy() > SOLID, 255, 0).astype(np.uint8)
        height, width = mask.shape
        features = self.matcher.describe(Photo("rendered", width, height, lambda: Picture(rgb, mask)))
        column, row = np.floor(features.xy).astype(int).clip(0, [width - 1, height - 1]).T
        K = camera.Ks[0].double().numpy()
        rays = np.c_[features.xy, np.ones(len(features))] @ np.linalg.inv(K).T
        local = rays * colors[..., 3].double().numpy()[row, column, None]
        pose = torch.linalg.inv(camera.viewmats[0].double()).numpy()
        return _Side(features, local @ pose[:3, :3].T + pose[:3, 3])

    def _matches(self, features: Features) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Pixels [M, 2] and the points [M, 3] of the object that look like them, by the best sides."""
        pairs = [self.matcher.match(features, side.features).rows for side in self.sides]
        best = sorted(range(len(pairs)), key=lambda i: (-len(pairs[i]), i))[:BEST]
        pixels = [features.xy[pairs[i][:, 0]].astype(np.float64) for i in best]
        points = [self.sides[i].xyz[pairs[i][:, 1]] for i in best]
        return np.concatenate(pixels), np.concatenate(points)

    def _refined(self, photo: Photo, camera: Cameras, viewmat: torch.Tensor) -> torch.Tensor:
        """``viewmat`` after photometric alignment of what the mask keeps, or of what is rendered there."""
        placed = replace(camera, viewmats=viewmat[None].float())
        picture = photo.decode()
        if picture.mask is None:
            _, alpha = self.render(placed)
            picture = Picture(picture.rgb, np.where(alpha.numpy() > SOLID, 255, 0).astype(np.uint8))
        capture = Capture([replace(photo, decode=lambda: picture)], "photo", cameras=placed)
        aligned = align_cameras(
            self.gaussians, capture, [0], antialiased=self.antialiased, near=self.near, steps=STEPS
        )
        return aligned.viewmats[0].double()
