"""A COLMAP project: a model and the pictures it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from firstlight.capture._colmap import FAR, cameras_from_reconstruction, points_from_reconstruction
from firstlight.capture._colmap_files import Model, has_model, read_model
from firstlight.capture._folder import Masks
from firstlight.capture._origin import in_single_precision
from firstlight.capture._paths import inside
from firstlight.capture._photos import Source, look_through, no_photo_left, posed_photos
from firstlight.errors import InputError
from firstlight.progress import Progress
from firstlight.scene import Capture, SetAside


def find_models(folder: Path) -> list[Path]:
    """Folders of COLMAP models where projects keep them: here, sparse/, sparse/0 …, colmap/sparse/0 …."""
    found = []
    for home in (folder, folder / "sparse", folder / "colmap" / "sparse"):
        if home.is_dir():
            numbered = sorted(p for p in home.iterdir() if p.is_dir() and p.name.isdigit())
            found += [p for p in (home, *numbered) if has_model(p)]
    return found


def read_colmap(folder: Path, progress: Progress) -> Capture:
    """The largest model of the project and its pictures; InputError when it cannot be used."""
    model = _largest(find_models(folder), progress)
    reconstruction = model.reconstruction
    images = {image.name: image for image in reconstruction.images.values() if image.has_pose}
    if not images:
        raise InputError(f"{model.folder}: no image of the COLMAP model has a pose. Give the photos alone.")
    pictures = _find_pictures(folder, model, sorted(images))
    masks = Masks(pictures)
    aside = [
        SetAside(name, "its pose in the model is no rotation and position")
        for name in sorted(images)
        if not _rigid(images[name].cam_from_world().matrix())
    ]
    aside += [
        SetAside(image.name, "it has no pose in the model")
        for image in reconstruction.images.values()
        if not image.has_pose
    ]
    unposed = {one.name for one in aside}
    sources = []
    for name in sorted(images.keys() - unposed):
        camera = reconstruction.camera(images[name].camera_id)
        path = inside(pictures, name, model.folder)
        if path.is_file():
            sources.append(Source(name, path, masks.of(name), (camera.width, camera.height)))
        else:
            aside.append(SetAside(name, f"the model has it, but there is no file {path}"))
    seen, unusable = look_through(sources, progress)
    aside += unusable
    if not seen:
        raise no_photo_left(folder, aside)
    names = [one.photo.name for one in seen]
    cameras = cameras_from_reconstruction(reconstruction, names, torch.float64)
    photos = posed_photos(seen, cameras.model)
    width = torch.tensor([photo.width for photo in photos])
    height = torch.tensor([photo.height for photo in photos])
    larger = torch.maximum(width, height).double() / torch.maximum(cameras.width, cameras.height)
    capture = Capture(
        photos=photos,
        layout=f"COLMAP project ({model.kind} model {_shown(model.folder, folder)})",
        cameras=cameras.resized(width, height),
        points=points_from_reconstruction(reconstruction, names).resized(larger),
        set_aside=aside,
    )
    return in_single_precision(capture, model.folder, progress)


def _shown(model: Path, folder: Path) -> str:
    return model.relative_to(folder).as_posix() if model != folder else model.name


def _largest(folders: list[Path], progress: Progress) -> Model:
    """That with the most placed images; one that cannot be read counts only when there is no other."""
    models, errors = [], []
    for folder in folders:
        try:
            models.append(read_model(folder))
        except InputError as error:
            errors.append(error)
    if not models:
        raise errors[0]
    for broken in errors:
        progress.note(f"Passed over: {broken}")
    best = max(models, key=lambda model: model.reconstruction.num_reg_images())
    for other in models:
        if other is not best:
            count = other.reconstruction.num_reg_images()
            progress.note(f"Passed over: {other.folder} ({count} photos; disjoint models cannot be joined)")
    return best


def _find_pictures(folder: Path, model: Model, names: list[str]) -> Path:
    """The folder from which the model counts its picture names."""
    homes = [folder, *list(model.folder.parents)[:3], *list(folder.parents)[:2]]
    candidates = list(dict.fromkeys(place for home in homes for place in (home / "images", home)))
    for place in candidates:
        if any(inside(place, name, model.folder).is_file() for name in names):
            return place
    raise InputError(
        f"{model.folder}: none of the {len(names)} pictures of the model ({names[0]} …) was found in "
        f"{candidates[0]} or around it. Put the photos there."
    )


def _rigid(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    if not (np.abs(matrix) < FAR).all():
        return False
    rotation = matrix[:, :3]
    return bool(np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-3)
