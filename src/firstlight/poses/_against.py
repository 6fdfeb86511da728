"""Photos placed against a model that they had no part in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree

from firstlight.errors import InputError
from firstlight.poses._features import Features, extract_all
from firstlight.poses._lens import Floats
from firstlight.poses._mapping import lens_cameras, lens_group
from firstlight.poses._pairs import Link, link_photos, match_photos
from firstlight.poses._placed import Placed, Verdict
from firstlight.poses._resection import resect
from firstlight.poses._sift import Sift
from firstlight.poses._undistort import lenses_of
from firstlight.poses._verdicts import spoken
from firstlight.progress import Progress, Silent
from firstlight.scene import Cameras, Capture, Photo, Points, SetAside

_NEAR = 2.0  # pixels between a keypoint and where a point of the model is seen
_ENOUGH = 12  # points by which a photo counts as placed


class _Known(NamedTuple):
    """A photo of the model: which of its keypoints are points."""

    rows: npt.NDArray[np.int64]  # [M] keypoints
    points: npt.NDArray[np.int64]  # [M] which points of the model they are


class _Found(NamedTuple):
    """Where a photo was found to be."""

    viewmat: Floats  # [4, 4]
    lens: Cameras  # one, whose own pose means nothing
    verdict: Verdict


def place_against(
    placed: Placed, photos: Sequence[Photo], *, seed: int = 0, progress: Progress | None = None
) -> Placed:
    """``placed`` with ``photos`` added, whose cameras are found without changing those that are there.

    This is for photos that a method must not have seen but is measured with. Each gets the lens that it
    shares with photos of the model, or else that of the photo with which it has most in common, and its pose
    by PnP from points of the model; where these are too few, it starts from the pose of that photo, and the
    verdict says so. One that has nothing in common with any is left out, and ``progress`` is told; so is a
    panorama. Points and their tracks stay as they are. InputError when the model is of panoramas.
    """
    progress = progress or Silent()
    model, cameras = placed.capture, placed.capture.cameras
    assert cameras is not None
    if cameras.model != "pinhole":
        raise InputError("Panoramas cannot be placed against other photos. Find all cameras together.")
    everything, first = [*model.photos, *photos], len(model)
    features = extract_all(everything, Sift(), progress)
    new = [first + k for k, photo in enumerate(photos) if not photo.panorama]
    pairs = [(i, k) for k in new for i in range(first)]
    matches = match_photos(everything, features, Sift(), progress, pairs, Sift().count)
    links = link_photos(features, lens_cameras(everything), matches, seed, progress)
    known = [_known(features[i], cameras.select([i]), model.points, i) for i in range(first)]
    found = [
        _find(photo, features[k], [links[i, k] for i in range(first)], known, model, seed)
        if k in new
        else Verdict(photo.name, False, "a panorama among ordinary photos")
        for k, photo in enumerate(photos, first)
    ]
    kept = [(photo, one) for photo, one in zip(photos, found, strict=True) if isinstance(one, _Found)]
    lost = [one for one in found if isinstance(one, Verdict)]
    progress.note(f"{len(kept)} of {len(photos)} held-out photos placed against these")
    for line in spoken(lost):
        progress.note(line)
    capture = replace(
        model,
        photos=model.photos + [photo for photo, _ in kept],
        cameras=_with(cameras, kept),
        set_aside=model.set_aside + [SetAside(one.name, one.reason) for one in lost],
    )
    verdicts = placed.verdicts + [one.verdict if isinstance(one, _Found) else one for one in found]
    return Placed(capture, verdicts, placed.method + "; held-out photos placed against it")


def _known(features: Features, camera: Cameras, points: Points | None, photo: int) -> _Known:
    if points is None or len(features) == 0:
        return _Known(np.zeros(0, np.int64), np.zeros(0, np.int64))
    seen = points.track_point[points.track_photo == photo]
    xyz = points.xyz[seen].double()
    viewmat = camera.viewmats[0].double()
    local = (xyz @ viewmat[:3, :3].T + viewmat[:3, 3]).numpy()
    xy, _ = lenses_of(camera)[0].project(local[:, 0] / local[:, 2], local[:, 1] / local[:, 2])
    away, rows = cKDTree(features.xy).query(xy)
    near = away < _NEAR
    return _Known(rows[near].astype(np.int64), seen.numpy()[near])


def _find(
    photo: Photo, features: Features, links: list[Link], known: list[_Known], model: Capture, seed: int
) -> _Found | Verdict:
    """``links``: with each photo of the model."""
    assert model.cameras is not None
    partner = max(range(len(links)), key=lambda i: (links[i].inliers, len(links[i].matches)))
    shared, name = links[partner].inliers, model.photos[partner].name
    lens = _lens(photo, partner, model.photos, model.cameras)
    pixels, xyz = _correspondences(features, links, known, model.points)
    pose = resect(pixels, xyz, lens, fewest=_ENOUGH, seed=seed)
    if pose is not None:
        inliers = int(pose.inliers.sum())
        reason = f"placed by {inliers} points of the other photos, without changing these"
        verdict = Verdict(photo.name, True, reason, observations=inliers, matches=shared, partner=name)
        return _Found(pose.viewmat, lens, verdict)
    # A handful of matches with a photo of another place is chance: only a geometry that many agree on counts.
    if not links[partner].verified:
        reason = features.trouble or "shares nothing with the photos that the scene is made from"
        return Verdict(photo.name, False, reason)
    viewmat = model.cameras.viewmats[partner].double().numpy()
    reason = f"not placed by points; starts from the camera of {name}, with which it shares most"
    return _Found(viewmat, lens, Verdict(photo.name, True, reason, matches=shared, partner=name))


def _correspondences(
    features: Features, links: list[Link], known: list[_Known], points: Points | None
) -> tuple[Floats, Floats]:
    """Pixels [M, 2] of the photo and the points [M, 3] of the model that are seen there, each pair once."""
    pairs = [np.zeros((0, 2), np.int64)]
    for link, one in zip(links, known, strict=True):
        rows = link.matches.rows.astype(np.int64)
        _, here, there = np.intersect1d(rows[:, 0], one.rows, return_indices=True)
        pairs.append(np.stack([rows[here, 1], one.points[there]], 1))
    if points is None:
        return np.zeros((0, 2)), np.zeros((0, 3))
    # What several photos of the model show must not speak once for each of them.
    distinct = np.unique(np.concatenate(pairs), axis=0)
    return features.xy[distinct[:, 0]].astype(np.float64), points.xyz.double().numpy()[distinct[:, 1]]


def _lens(photo: Photo, partner: int, model_photos: list[Photo], cameras: Cameras) -> Cameras:
    """The lens of the model's photos that share one with ``photo``; where none does, its partner's.

    Of another size, or with the camera held the other way, the same lens has the same focal length beside the
    long side of the picture.
    """
    alike = [i for i, one in enumerate(model_photos) if lens_group(one) == lens_group(photo)]
    if alike:
        return cameras.select([partner if partner in alike else alike[0]])
    lens = cameras.select([partner])
    Ks = lens.Ks.clone()
    Ks[:, [0, 1], [0, 1]] *= max(photo.width, photo.height) / float(torch.maximum(lens.width, lens.height))
    Ks[:, :2, 2] = torch.tensor([photo.width / 2, photo.height / 2])
    return replace(lens, Ks=Ks, width=torch.tensor([photo.width]), height=torch.tensor([photo.height]))


def _with(cameras: Cameras, kept: list[tuple[Photo, _Found]]) -> Cameras:
    """``cameras``, then one for each photo that was found."""
    new = [one.lens for _, one in kept]
    viewmats = [torch.from_numpy(one.viewmat).to(cameras.viewmats)[None] for _, one in kept]
    bent = cameras.distortion
    return replace(
        cameras,
        viewmats=torch.cat([cameras.viewmats, *viewmats]),
        Ks=torch.cat([cameras.Ks, *(one.Ks for one in new)]),
        width=torch.cat([cameras.width, *(one.width for one in new)]),
        height=torch.cat([cameras.height, *(one.height for one in new)]),
        distortion=None
        if bent is None
        else torch.cat([bent, *(one.distortion for one in new if one.distortion is not None)]),
    )
