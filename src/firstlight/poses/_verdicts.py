"""Saying what became of each photo, and what would help."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pycolmap

from firstlight.errors import InputError
from firstlight.poses._confidence import WEAK, confidence
from firstlight.poses._features import Features, Pair
from firstlight.poses._pairs import MIN_INLIERS, Link, Links
from firstlight.poses._parallax import shows_parallax
from firstlight.poses._placed import Verdict
from firstlight.scene import Photo

MIN_OBSERVATIONS = 15  # scene points that a photo must show to be believed
FEW_FEATURES = 100  # of a photo that is blurred, dark or without texture
LISTED = 12  # photos, up to which every verdict is shown
SAME_VIEW = 0.01  # of the picture width: matches that move no more show the same view twice


def verdicts(
    models: Sequence[pycolmap.Reconstruction],
    photos: Sequence[Photo],
    features: Sequence[Features],
    links: Links,
) -> list[Verdict]:
    """One for each photo; the first model is the one that is kept."""
    best = best_partners(len(photos), links)
    kept = set(models[0].reg_image_ids())
    found = []
    for i, photo in enumerate(photos):
        partner, matches = best[i]
        name = None if partner is None else photos[partner].name
        if i + 1 in kept:
            image = models[0].image(i + 1)
            error = reprojection_error(models[0], i + 1)
            sure = confidence(models[0], i + 1)
            reason = f"{image.num_points3D} scene points found in it, {error:.2f} px off on average"
            if sure < WEAK:
                reason += f"; weakly held (confidence {sure:.2f}): a photo between it and {name} would help"
            found.append(Verdict(photo.name, True, reason, error, image.num_points3D, matches, name, sure))
        else:
            reason = _why_not(i, models[1:], photos, features[i], best[i])
            found.append(Verdict(photo.name, False, reason, None, 0, matches, name))
    return found


def spoken(found: Sequence[Verdict]) -> list[str]:
    """What goes on the screen: a line a photo; of many photos, only those that are not well."""
    lines = []
    for verdict in found:
        if not verdict.placed:
            lines.append(f"  {verdict.name}: left out: {verdict.reason}")
        elif len(found) <= LISTED or (verdict.confidence or 0) < WEAK:
            lines.append(f"  {verdict.name}: placed, confidence {verdict.confidence:.2f}: {verdict.reason}")
    return lines


def best_partners(count: int, links: Links) -> list[tuple[int | None, int]]:
    """For each photo the one that it shares most with, and how many matches."""
    best: list[tuple[int | None, int]] = [(None, 0)] * count
    for (i, j), link in links.items():
        if link.inliers > best[i][1]:
            best[i] = (j, link.inliers)
        if link.inliers > best[j][1]:
            best[j] = (i, link.inliers)
    return best


def reprojection_error(model: pycolmap.Reconstruction, image_id: int) -> float:
    """Mean distance in pixels between a photo's keypoints and the points that they are of."""
    image = model.image(image_id)
    seen = [p for p in image.points2D if p.has_point3D()]
    world = np.array([model.point3D(p.point3D_id).xyz for p in seen])
    pose = image.cam_from_world().matrix()
    pixels = model.camera(image.camera_id).img_from_cam(world @ pose[:, :3].T + pose[:, 3])
    return float(np.linalg.norm(pixels - np.array([p.xy for p in seen]), axis=1).mean())


def _why_not(
    i: int,
    others: Sequence[pycolmap.Reconstruction],
    photos: Sequence[Photo],
    features: Features,
    best: tuple[int | None, int],
) -> str:
    if features.trouble is not None:
        return features.trouble
    if len(features) < FEW_FEATURES:
        return (
            f"only {len(features)} distinct details were found in it: it is blurred, dark or shows "
            "little texture. Take it again in good light, the camera held still"
        )
    for model in others:
        if i + 1 in model.reg_image_ids():
            return (
                f"it belongs to a separate group of {model.num_reg_images()} photos that shares too little "
                "with the others: take photos in between"
            )
    partner, matches = best
    if partner is None or matches < MIN_INLIERS:
        return (
            "it shows nothing that another photo shows too: another place, or so far from all the others "
            "that photos in between would help"
        )
    return (
        f"it shares too little with the others ({matches} consistent matches with {photos[partner].name}, "
        "its best partner): take photos in between"
    )


def refusal(photos: Sequence[Photo], features: Sequence[Features], links: Links) -> InputError:
    """Why no two photos could be placed, and what to do about it."""
    usable = [f for f in features if len(f) >= FEW_FEATURES]
    if len(usable) < 2:
        return InputError(_too_plain(photos, features))
    verified = {pair: link for pair, link in links.items() if link.verified}
    if not verified:
        most = max((len(link.matches) for link in links.values()), default=0)
        return InputError(
            f"None of the {len(photos)} photos overlap: no two of them show the same thing (at most {most} "
            "similar details, which chance explains). Photograph one scene, each photo sharing at least "
            "half of its view with the one before."
        )
    if shows_parallax(photos, features, links):
        return InputError(
            f"The {len(photos)} photos overlap ({len(verified)} pairs do), but share too little to find "
            "depth. Take more photos, each sharing at least half of its view with the one before."
        )
    moved = max(_motion(photos, features, pair, link) for pair, link in verified.items())
    if moved < SAME_VIEW:
        return InputError(
            f"The {len(photos)} photos show the same view: nothing moves between them, so there is no depth "
            "to find. Take a step to the side for every photo."
        )
    return InputError(
        f"The {len(photos)} photos were taken from one place: the camera only turned, so there is no "
        "depth to find. Walk while you photograph: a step to the side for every photo."
    )


def _too_plain(photos: Sequence[Photo], features: Sequence[Features]) -> str:
    for f in features:
        if f.trouble is not None:
            return f"Fewer than two photos can be used. {f.trouble}"
    counts = ", ".join(f"{p.name}: {len(f)}" for p, f in zip(photos[:3], features[:3], strict=False))
    return (
        f"Fewer than two of the {len(photos)} photos show enough detail to find again ({counts} distinct "
        "details). Photograph something with texture, in good light, and hold the camera still."
    )


def _motion(photos: Sequence[Photo], features: Sequence[Features], pair: Pair, link: Link) -> float:
    """Median distance by which the consistent matches of a pair moved, each photo's width being one."""
    rows = link.geometry.inlier_matches
    before, after = (features[i].xy[rows[:, k]] / photos[i].width for k, i in enumerate(pair))
    return float(np.median(np.linalg.norm(before - after, axis=1)))
