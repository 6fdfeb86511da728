"""An object that was fitted, found again in a new photo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from firstlight.capture import load, load_photo
from firstlight.errors import InputError
from firstlight.objects import ObjectModel, ObjectPose
from firstlight.pipeline.photos import prepare
from firstlight.pipeline.run_folder import Run
from firstlight.poses import load_placed
from firstlight.progress import Progress, Silent
from firstlight.scene import Cameras, Capture, Photo


def pose_object(
    folder: str | Path,
    photo: str | Path | Photo,
    *,
    focal: float | None = None,
    refine: bool = True,
    photos: str | Path | Capture | None = None,
    progress: Progress | None = None,
) -> ObjectPose:
    """The 6D pose of the object of a finished run (recipe ``sgpose``) before the camera of a new photo.

    Where the photo has a transparent surrounding, the rest is the visible part of the object. focal: its
    focal length in pixels; by default the lens of the run's photos where it can be the same, else what EXIF
    says. refine: by the whole picture, not by matched points alone. photos: where those of the run are now,
    by default where they were; needed where it was given a ``Capture`` instead of a path. InputError when the
    run is not complete, when the focal length is not known, and when the object is not found.
    """
    run = Run.open(folder)
    if not run.complete:
        raise InputError(f"{run.folder}: the run is not complete. Go on with it: firstlight fit --resume.")
    one = photo if isinstance(photo, Photo) else load_photo(photo)
    size = int(run.about["recipe"]["max_size"])
    where = run.photos(photos)
    source = where if isinstance(where, Capture) else load(where, progress=progress or Silent())
    placed = load_placed(run.folder, source).capture
    if placed.cameras is None or placed.cameras.model == "equirectangular":
        raise InputError(f"{run.folder}: its photos are panoramas, which no object pose can be found with.")
    query = prepare(Capture([one], "photo", cameras=_lens(one, placed, focal)), size)
    trained = set(run.about["split"]["train"])
    known = prepare(placed, size)
    rows = [i for i, seen in enumerate(known.photos) if seen.name in trained]
    assert known.cameras is not None
    assert query.cameras is not None
    antialiased = bool(run.about["recipe"]["antialiased"])
    model = ObjectModel(run.scene, known.cameras.select(rows), antialiased=antialiased)
    return model.find(query.photos[0], query.cameras, refine=refine)


def _lens(photo: Photo, placed: Capture, focal: float | None) -> Cameras:
    """A camera [1] at the origin with the lens that ``photo`` was taken through."""
    cameras = placed.cameras
    assert cameras is not None
    width, height = torch.tensor([photo.width]), torch.tensor([photo.height])
    viewmats = torch.eye(4, dtype=cameras.viewmats.dtype)[None]
    if focal is None:
        for index, known in enumerate(placed.photos):
            if known.lens == photo.lens and _same_shape(known, photo):
                return replace(cameras.select([index]).resized(width, height), viewmats=viewmats)
        focal = photo.focal
    if focal is None:
        raise InputError(
            f"{photo.name}: its focal length is not known (no EXIF, and another shape than the photos of the "
            "run). Give --focal, in pixels."
        )
    if not focal > 0:
        raise InputError(f"A focal length of {focal} pixels: expected more than 0.")
    K = torch.tensor([[focal, 0, photo.width / 2], [0, focal, photo.height / 2], [0, 0, 1]])
    return Cameras(viewmats, K[None].to(viewmats.dtype), width, height)


def _same_shape(a: Photo, b: Photo) -> bool:
    """Whether one is the other scaled, up to rounding to whole pixels."""
    return abs(a.height * b.width / a.width - b.height) <= 1
