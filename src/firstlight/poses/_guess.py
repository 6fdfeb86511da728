"""Cameras that something else guessed, such as a pretrained network: never believed, but a place to begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pycolmap

from firstlight.poses._features import Features
from firstlight.poses._guided import off_lines
from firstlight.poses._mapping import lens_cameras
from firstlight.poses._pairs import Link, Links
from firstlight.poses._refine import adjusted, fundamental_between, straight
from firstlight.poses._rematch import better
from firstlight.progress import Progress
from firstlight.scene import Cameras, Photo

WIDE = 0.02  # of the long side, that a match may lie off the line that guessed cameras give: some degrees
BORNE_OUT = 0.3  # of a pair's matches; of wrong ones, some 5 % lie near the line by chance
_SHORTEST, _LONGEST = 0.3, 6.0  # focal lengths of the long side
_LOOSE = 12.0  # pixels, and
_LOOSE_ANGLE = 5.0  # degrees, by which a point may miss while the cameras are still a guess


class Guess(Protocol):
    """A way to cameras that need not be right."""

    def __call__(self, photos: Sequence[Photo], progress: Progress) -> Cameras:
        """One for each of ``photos``, in any frame and scale."""


def guessed_cameras(photos: Sequence[Photo], guess: Cameras) -> list[pycolmap.Camera]:
    """One camera a photo, as ``lens_cameras`` gives it; where EXIF has no focal length, the guess's.

    Photos through one lens get the middling one of theirs; one that no lens has is not believed.
    """
    cameras = lens_cameras(photos)
    focals = guess.Ks[:, [0, 1], [0, 1]].double().mean(1).numpy()
    for camera in {camera.camera_id: camera for camera in cameras}.values():
        if not camera.has_prior_focal_length:
            own = [focal for one, focal in zip(cameras, focals, strict=True) if one is camera]
            focal, long_side = float(np.median(own)), max(camera.width, camera.height)
            if _SHORTEST * long_side < focal < _LONGEST * long_side:
                camera.params = [focal, *camera.params[1:]]
    return cameras


def link_by_guess(
    features: Sequence[Features],
    cameras: Sequence[pycolmap.Camera],
    guess: Cameras,
    links: Links,
) -> Links:
    """``links``, where the guess bears out more matches of a pair than a geometry of its own did.

    Matches are those that were found without the guess: most wrong ones then lie far off its lines. Looking
    for more along its lines would find as many along wrong ones, and the guess would vouch for itself.
    """
    poses = rigid(guess)
    found = {}
    for (a, b), link in links.items():
        lines = fundamental_between(cameras[a], poses[a], cameras[b], poses[b])
        rows = link.matches.rows
        x, y = (straight(cameras[i], features[i].xy[rows[:, k]]) for k, i in enumerate((a, b)))
        off = off_lines(x, y, lines)
        radius = WIDE * max(cameras[b].width, cameras[b].height)
        geometry = pycolmap.TwoViewGeometry()
        geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED.value
        geometry.inlier_matches = rows[off <= radius]
        borne = Link(link.matches, geometry)
        found[a, b] = better(link, borne if borne.inliers >= BORNE_OUT * len(rows) else None)
    return found


def adjust_guess(
    names: Sequence[str],
    features: Sequence[Features],
    cameras: Sequence[pycolmap.Camera],
    guess: Cameras,
    links: Links,
    seed: int,
) -> list[pycolmap.Reconstruction]:
    """Points from verified matches and the guessed cameras, adjusted together: loosely, then as ever.

    No model where no pair is verified; photos without a verified pair are not in it.
    """
    joined = {i for pair, link in links.items() if link.verified for i in pair}
    placed = {i: pose for i, pose in enumerate(rigid(guess)) if i in joined}
    models: list[pycolmap.Reconstruction] = []
    for tolerance in ((_LOOSE, _LOOSE_ANGLE), None):
        if len(placed) < 2:
            return []
        models = [adjusted(placed, names, features, cameras, links, seed, tolerance)]
        placed = {i - 1: models[0].image(i).cam_from_world() for i in models[0].reg_image_ids()}
        lenses = dict(models[0].cameras)
        cameras = [lenses.get(camera.camera_id, camera) for camera in cameras]
    return models


def rigid(guess: Cameras) -> list[pycolmap.Rigid3d]:
    """World to camera, with rotations made exact, in a unit of the cameras' own distances."""
    found = []
    viewmats = guess.viewmats.double().numpy()
    centers = guess.centers.double().numpy()
    unit = max(float(np.linalg.norm(centers - centers.mean(0), axis=1).max()), 1e-9)
    for viewmat, center in zip(viewmats, centers, strict=True):
        u, _, v = np.linalg.svd(viewmat[:3, :3])
        turn = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
        found.append(pycolmap.Rigid3d(np.c_[turn, -turn @ (center / unit)]))
    return found
