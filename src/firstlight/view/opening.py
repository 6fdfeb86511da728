"""Scene files and run folders → what stands on the page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch

from firstlight.errors import InputError
from firstlight.poses import load_placed
from firstlight.scene import Cameras, Capture, Gaussians, Photo, Picture, Similarity
from firstlight.view.frame import FOV_WITHOUT_CAMERA
from firstlight.view.stage import Colour, Exhibit, Stage
from firstlight.view.viewer import Viewer


def open_scene(*paths: str | Path, port: int = 8080) -> Viewer:
    """Show scene files, or run folders that ``firstlight fit`` wrote: side by side where there are several.

    Of a run only ``scene.ply`` must be there: without ``poses.json`` there are no cameras, and where the
    photos have moved, theirs are not shown. InputError when there is nothing to show.
    """
    return Viewer.of(open_stage(*paths), port=port)


def open_stage(*paths: str | Path) -> Stage:
    """What ``open_scene`` shows. The first run's cameras are everybody's.

    Other runs with three or more photos of the same names are moved, turned and scaled so that these
    photos' cameras meet: every structure from motion has a frame of its own.
    """
    if not paths:
        raise InputError("No scene given: expected a scene file or a run folder.")
    opened = [_open(Path(path)) for path in paths]
    capture = next((one.capture for one in opened if one.capture is not None), None)
    for exhibit, own, _ in opened:
        if capture is not None and own is not None and own is not capture and exhibit.gaussians is not None:
            move = _between(own, capture)
            exhibit.gaussians = exhibit.gaussians if move is None else exhibit.gaussians.transform(move)
    backdrop = next((one.backdrop for one in opened if one.backdrop is not None), None)
    return Stage([one.exhibit for one in opened], capture, backdrop)


class _Opened(NamedTuple):
    """A scene, and what a run tells beside it."""

    exhibit: Exhibit
    capture: Capture | None = None
    backdrop: Colour | None = None


def _open(path: Path) -> _Opened:
    if not path.exists():
        raise InputError(f"{path}: does not exist. Give a scene file or a run folder.")
    title, scene = path.resolve().name, path / "scene.ply"
    if not scene.exists():
        if path.is_dir() and not (path / "meta.json").exists():
            raise InputError(
                f"{path}: has no scene.ply. Give a run folder that 'firstlight fit' has finished (one that "
                "was stopped goes on with --resume), or a scene file."
            )
        return _Opened(Exhibit(Gaussians.load(path), title))
    about = _read_json(path / "run.json")
    capture = _capture(path, _read_json(path / "poses.json"), _Originals(about.get("photos")))
    exhibit = Exhibit(Gaussians.load(scene), title, _numbers(about))
    return _Opened(exhibit, capture, _colour(about.get("background")))


def _between(own: Capture, common: Capture) -> Similarity | None:
    """Onto the frame of ``common``, by photos of the same names; None where there is nothing to do."""
    places = {photo.name: i for i, photo in enumerate(common.photos)}
    pairs = [(i, places[photo.name]) for i, photo in enumerate(own.photos) if photo.name in places]
    if own.cameras is None or common.cameras is None or len(pairs) < 3:
        return None
    source = own.cameras.centers[[i for i, _ in pairs]]
    target = common.cameras.centers[[j for _, j in pairs]]
    if torch.allclose(source, target, atol=1e-5 * common.cameras.extent):
        return None
    try:
        move = Similarity.align(source, target)
    except ValueError:  # all in one place
        return None
    missed = (move.apply(source.double()) - target.double()).norm(dim=-1).median()
    return move if float(missed) < 0.05 * common.cameras.extent else None


class _Originals:
    """The photos a run was made from, opened when the first of them is wanted."""

    def __init__(self, source: Any) -> None:
        self.source = source

    @cached_property
    def photos(self) -> dict[str, Photo]:
        from firstlight.capture import load  # readers of every format: not needed until somebody looks

        if not isinstance(self.source, str):
            return {}
        try:
            return {photo.name: photo for photo in load(self.source).photos}
        except InputError:  # moved or removed since
            return {}

    def decoder(self, name: str) -> Callable[[], Picture]:
        def decode() -> Picture:
            photo = self.photos.get(name)
            if photo is None:
                raise InputError(f"{self.source}: {name} is not there any more.")
            return photo.decode()

        return decode


def _capture(run: Path, poses: dict[str, Any], originals: _Originals) -> Capture | None:
    """The photos of a run that have a place, with sparse points where there are any; None without poses."""
    capture = _from_json(poses, originals)
    if capture is None:
        return None
    with suppress(InputError):  # the words are enough, but for the points
        capture = load_placed(run, capture).capture
    return capture if capture.cameras is not None and _usable(capture.cameras) else None


def _from_json(poses: dict[str, Any], originals: _Originals) -> Capture | None:
    try:
        placed = [photo for photo in poses.get("photos", []) if photo["placed"]]
        cameras = Cameras(
            viewmats=torch.tensor([photo["viewmat"] for photo in placed], dtype=torch.float32),
            Ks=torch.tensor([intrinsics(photo) for photo in placed], dtype=torch.float32),
            width=torch.tensor([int(photo["width"]) for photo in placed]),
            height=torch.tensor([int(photo["height"]) for photo in placed]),
        )
        photos = [
            Photo(str(p["name"]), int(p["width"]), int(p["height"]), originals.decoder(str(p["name"])))
            for p in placed
        ]
        return Capture(photos, "run folder", cameras) if placed else None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _usable(cameras: Cameras) -> bool:
    """Whether one can stand where all of them stood: a damaged file may hold anything."""
    R, focals = cameras.rotations.double(), cameras.Ks[:, [0, 1], [0, 1]]
    finite = cameras.viewmats.isfinite().all() and cameras.Ks.isfinite().all()
    turned = ((R @ R.mT - torch.eye(3, dtype=torch.float64)).abs() < 1e-3).all() and (R.det() > 0).all()
    sizes = torch.cat([focals.flatten(), cameras.width, cameras.height])
    return bool(finite and turned and (sizes > 0).all())


def intrinsics(photo: dict[str, Any]) -> list[list[float]]:
    """K of an entry, or that of an ordinary lens where it has none of use (panoramas)."""
    if photo.get("K") is not None and photo.get("model") in (None, "pinhole", "fisheye"):
        return [[float(number) for number in row] for row in photo["K"]]
    width, height = float(photo["width"]), float(photo["height"])
    focal = max(width, height) / (2 * math.tan(FOV_WITHOUT_CAMERA / 2))
    return [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]


def _read_json(path: Path) -> dict[str, Any]:
    """What a run says of itself; empty where it is missing or damaged: the scene can be shown without."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _colour(stored: Any) -> Colour | None:
    """What stands behind the scene in the run's photos, where it says so."""
    try:
        red, green, blue = (min(max(float(part), 0.0), 1.0) for part in stored)
    except (TypeError, ValueError):
        return None
    return red, green, blue


def _numbers(about: dict[str, Any]) -> str:
    """A run's quality in words."""
    summary = about.get("summary")
    if not isinstance(summary, dict):
        return ""
    lines = []
    if isinstance(summary.get("psnr"), int | float):
        lines.append(f"PSNR {summary['psnr']:.2f} dB")
    if isinstance(summary.get("ssim"), int | float):
        lines.append(f"SSIM {summary['ssim']:.3f}")
    text = ", ".join(lines)
    return f"{text} on {summary['measured_on']}" if text and "measured_on" in summary else text
