"""Photos on their way to a fit: can a recipe take them, their cameras, their size, who is held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from firstlight.errors import InputError
from firstlight.fitting import Recipe
from firstlight.pipeline.options import PosedBy
from firstlight.poses import (
    Guess,
    Placed,
    estimate,
    get_matcher,
    place_against,
    structure_from_motion,
    undistort,
)
from firstlight.progress import Progress
from firstlight.scene import Capture, HoldOut, Split
from firstlight.starts import outline


def check_photos(recipe: Recipe, capture: Capture, train: list[int]) -> None:
    """InputError when the recipe and the photos do not go together.

    Asked of photos as they came: undistorted ones have masks of another meaning.
    """
    fitted = recipe.for_photos(len(train))
    if fitted.cameras is not None and any(photo.panorama for photo in capture.photos):
        raise InputError(
            "Cameras of panoramas cannot be refined. Run without --refine-cameras, or with another recipe."
        )
    known = capture.cloud is not None or any(photo.depth is not None for photo in capture.photos)
    if fitted.needs_geometry and fitted.geometry is None and not known:
        raise InputError(
            f"The recipe '{recipe.name}' begins with dense geometry, of which there is none. Choose a "
            "--geometry, or a recipe that starts from sparse points."
        )
    if fitted.needs_masks:
        for index in train:
            outline(capture.photos[index])


def find_cameras(
    capture: Capture,
    alone: Split | None = None,
    *,
    matcher: str = "sift",
    guess: Guess | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Placed:
    """Cameras from the photos: from all, or from those that ``alone`` trains on, and no others.

    Its held-out photos are then placed against these. InputError when two photos cannot be placed, and for
    panoramas that are to be placed so.
    """
    method = partial(structure_from_motion, matcher=get_matcher(matcher), guess=guess)
    if alone is None:
        return estimate(capture, seed=seed, progress=progress, method=method)
    if 2 * sum(capture.photos[i].panorama for i in alone.train) > len(alone.train):
        raise InputError("Panoramas cannot be placed against others. Find all cameras together: --poses all.")
    placed = estimate(capture.select(alone.train), seed=seed, progress=progress, method=method)
    held_out = [capture.photos[i] for i in alone.test]
    return place_against(placed, held_out, seed=seed, progress=progress) if held_out else placed


def prepare(capture: Capture, max_size: int) -> Capture:
    """A capture with cameras as the fit takes it: pinhole cameras, photos of at most ``max_size`` pixels."""
    assert capture.cameras is not None
    # Shrunk first, because less is then to be warped; but a face shows a quarter of its panorama's round.
    whole = 4 * max_size if capture.cameras.model == "equirectangular" else max_size
    return undistort(capture.resized(whole)).resized(max_size)


def split_placed(
    capture: Capture, source: Capture, hold_out: HoldOut | Sequence[str], views: int | None, poses: PosedBy
) -> Split:
    """Who of ``capture``, whose cameras are known, trains and who is held out.

    Where cameras were found from training photos alone, that was decided before, among all of ``source``.
    Elsewhere there may be fewer than ``views`` left to train on, when not all photos could be placed, and
    fewer to hold out than were named.
    """
    if poses == "all" or source.posed:
        if not isinstance(hold_out, str):
            there = {photo.group or photo.name for photo in capture.photos} | {p.name for p in capture.photos}
            hold_out = [name for name in hold_out if name in there]
        left = {photo.group or photo.name for photo in capture.select(capture.split(hold_out).train).photos}
        return capture.split(hold_out, None if views is None else min(views, len(left)))
    there = {photo.name for photo in capture.photos}
    held_out = {source.photos[i].name for i in source.split(hold_out, views).test}
    return capture.split(sorted(held_out & there))


def split_named(capture: Capture, names: Mapping[str, Sequence[str]]) -> Split:
    """Who trained and who was held out, as a ``run.json`` names them. InputError where one is not there."""
    place = {photo.name: i for i, photo in enumerate(capture.photos)}
    try:
        return Split([place[name] for name in names["train"]], [place[name] for name in names["test"]])
    except KeyError as error:
        raise InputError(f"{error}: is not among the photos ({capture.layout}) that have cameras.") from error
