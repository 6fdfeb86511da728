"""``transforms.json``: nerfstudio's and instant-ngp's way to write cameras down, and Blender's of NeRF."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from firstlight.capture._colmap import FAR
from firstlight.capture._origin import in_single_precision
from firstlight.capture._paths import inside
from firstlight.capture._photos import Seen, Source, look_through, no_photo_left, posed_photos
from firstlight.capture._ply_points import read_ply_points
from firstlight.errors import InputError
from firstlight.progress import Progress
from firstlight.scene import CameraModel, Cameras, Capture, SetAside

_MAX_BYTES = 256 * 2**20
_MODELS: dict[str, CameraModel] = {
    "SIMPLE_PINHOLE": "pinhole", "PINHOLE": "pinhole", "SIMPLE_RADIAL": "pinhole", "RADIAL": "pinhole",
    "OPENCV": "pinhole", "FULL_OPENCV": "pinhole",
    "OPENCV_FISHEYE": "fisheye", "EQUIRECTANGULAR": "equirectangular",
}  # fmt: skip
_PINHOLE = ("k1", "k2", "p1", "p2", "k3")
_FISHEYE = ("k1", "k2", "k3", "k4")
# Files often name pictures without an ending.
_ENDINGS = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG", ".webp", ".tif", ".tiff")
_WHITE = (1.0, 1.0, 1.0)
_WAY_OUT = "Give the folder of photos alone to find their poses anew."


@dataclass(frozen=True)
class Frame:
    """A picture and its camera, as the file has them."""

    name: str
    path: Path
    settings: Mapping[str, Any]  # the frame's own over those of the file
    camera_to_world: npt.NDArray[np.float64]  # [4, 4] OpenGL axes (x right, y up, z backward)
    mask: Path | None

    def number(self, key: str, default: float = 0.0) -> float:
        """A number among the settings; ValueError when something else stands there."""
        value = self.settings.get(key)
        if value is None:
            return default
        # The bound keeps what float32 cannot hold, and integers of a thousand digits, away from tensors.
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < FAR:
            raise ValueError(f"{key} is {reprlib.repr(value)}, not a number that a camera has")
        return float(value)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height for which the camera was made, None where the file does not tell."""
        width, height = self.number("w"), self.number("h")
        return (int(width), int(height)) if 1 <= width <= 10**6 and 1 <= height <= 10**6 else None


def read_transforms(path: Path, progress: Progress) -> Capture:
    """Read a nerfstudio ``transforms.json``; InputError when it cannot be used.

    Its ``test_filenames`` (else its ``val_filenames``, else what its ``train_filenames`` leave over) are the
    capture's test set. Photos that are neither in it nor train by these lists are set aside.
    """
    meta = _read_json(path)
    frames, aside = _frames(meta, path)
    frames, unused, held = _split(meta, frames, aside, path)
    capture = _capture(frames, aside + unused, path, "nerfstudio transforms.json", progress)
    capture.test_names = frozenset(p.name for p in capture.photos if p.name in held) or None
    points = meta.get("ply_file_path")
    if isinstance(points, str):
        ply = inside(path.parent, points, path)
        if ply.is_file():
            capture.points = read_ply_points(ply)
        else:
            progress.note(f"{path}: its points are missing (there is no file {ply}); going on without.")
    return in_single_precision(capture, path, progress)


def read_blender(folder: Path, progress: Progress) -> Capture:
    """Read ``transforms_train.json`` and ``transforms_test.json`` as NeRF's synthetic scenes have them.

    The test file's pictures (the validation file's, where there is no test file) are the capture's test
    set, but for those that the training file has too. Transparent pictures are laid on white, as every
    paper on these scenes does.
    """
    train = folder / "transforms_train.json"
    tests = [folder / "transforms_test.json", folder / "transforms_val.json"]
    test = next((path for path in tests if path.is_file()), None)
    if not train.is_file():
        raise InputError(f"{train}: there is no such file, but {test} stands beside it.")
    frames, aside = _frames(_read_json(train), train)
    held: dict[str, Frame] = {}
    if test is not None:
        listed, missing = _frames(_read_json(test), test)
        aside += missing
        trained = {frame.name for frame in frames}
        held = {frame.name: frame for frame in listed if frame.name not in trained}
        if len(held) < len(listed):
            progress.note(
                f"{test}: {len(listed) - len(held)} of its {len(listed)} pictures are in {train.name} too; "
                "they train, and are not held out."
            )
    words = f"Blender scene ({train.name}" + (f" and {test.name})" if test else ")")
    capture = _capture([*frames, *held.values()], aside, train, words, progress, background=_WHITE)
    capture.test_names = frozenset(p.name for p in capture.photos if p.name in held) or None
    return in_single_precision(capture, train, progress)


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path}: larger than {_MAX_BYTES // 2**20} MB, so it is no transforms.json.")
        meta = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: not valid JSON ({error.msg} in line {error.lineno}, column {error.colno}). {_WAY_OUT}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}). {_WAY_OUT}") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("frames"), list) or not meta["frames"]:
        raise InputError(f"{path}: it has no list of frames, so no camera can be read from it. {_WAY_OUT}")
    return meta


def _frames(meta: Mapping[str, Any], path: Path) -> tuple[list[Frame], list[SetAside]]:
    shared = {key: value for key, value in meta.items() if key != "frames"}
    frames: dict[str, Frame] = {}
    aside: list[SetAside] = []
    poses = 0
    for number, entry in enumerate(meta["frames"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("file_path"), str):
            raise InputError(f"{path}: frame {number} names no file_path. {_WAY_OUT}")
        picture = _find(inside(path.parent, entry["file_path"], path))
        name = _name(picture, path.parent)
        if "transform_matrix" not in entry:
            aside.append(SetAside(name, "it has no transform_matrix, so no pose"))
            continue
        poses += 1
        pose = _pose(entry["transform_matrix"], name, path)
        if name in frames:
            aside.append(SetAside(name, "it is listed twice; the first entry counts"))
        elif not picture.is_file():
            aside.append(SetAside(name, f"the file is missing: {picture}"))
        else:
            mask = entry.get("mask_path")
            frames[name] = Frame(
                name, picture, {**shared, **entry}, pose,
                inside(path.parent, mask, path) if isinstance(mask, str) else None,
            )  # fmt: skip
    if not poses:
        raise InputError(f"{path}: none of its {len(meta['frames'])} frames has a pose. {_WAY_OUT}")
    return list(frames.values()), aside


def _split(
    meta: Mapping[str, Any], frames: Sequence[Frame], aside: Sequence[SetAside], path: Path
) -> tuple[list[Frame], list[SetAside], Set[str]]:
    """What a nerfstudio file's own lists say: the frames in use, what is not, and the names held out.

    A photo that trains and is held out by them is held out.
    """
    known = {frame.name for frame in frames} | {one.name for one in aside}
    lists = {key: _listed(meta, key, path) for key in ("train_filenames", "test_filenames", "val_filenames")}
    unused = []
    for key, names in lists.items():
        strange = sorted(names - known)
        if names and len(strange) == len(names):
            raise InputError(
                f"{path}: none of the names in its {key} ({strange[0]} …) is that of a frame. "
                "Write them as file_path has them, or take the list out."
            )
        unused += [SetAside(name, f"it stands in {key}, but no frame is called so") for name in strange]
    train, test, val = lists.values()
    held = test or val or (known - train if train else set())
    used = (train or known - val) | held
    unused += [
        SetAside(frame.name, "by the file's own lists it neither trains nor is held out")
        for frame in frames
        if frame.name not in used
    ]
    return [frame for frame in frames if frame.name in used], unused, held


def _listed(meta: Mapping[str, Any], key: str, path: Path) -> Set[str]:
    """Names in the capture of what the file lists under ``key``; none where it has no such list."""
    names = meta.get(key) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: its {key} are no list of file names. Write one, or take it out.")
    return {_name(_find(inside(path.parent, name, path)), path.parent) for name in names}


def _find(path: Path) -> Path:
    """The picture itself, where the file leaves its ending away."""
    if path.is_file():
        return path
    named = [path.with_name(path.name + ending) for ending in _ENDINGS]
    return next((candidate for candidate in named if candidate.is_file()), path)


def _name(picture: Path, home: Path) -> str:
    """The name in the capture: without 'images/', so that every layout calls a photo the same."""
    return picture.relative_to(home).as_posix().removeprefix("images/")


def _pose(value: Any, name: str, path: Path) -> npt.NDArray[np.float64]:
    try:
        matrix = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.zeros(0)
    if matrix.shape not in ((4, 4), (3, 4)) or not (np.abs(matrix) < FAR).all():
        raise InputError(f"{path}: the transform_matrix of {name} is not 4×4 numbers. {_WAY_OUT}")
    rotation = matrix[:3, :3]
    # Some exporters scale the axes, and text rounds them; a pose needs the pure rotation.
    scale = np.cbrt(np.linalg.det(rotation))
    if not scale > 0 or np.abs(rotation @ rotation.T / scale**2 - np.eye(3)).max() > 0.02:
        raise InputError(f"{path}: the transform_matrix of {name} is no rotation and position. {_WAY_OUT}")
    u, _, vt = np.linalg.svd(rotation)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = u @ vt, matrix[:3, 3]
    return pose


def _capture(
    frames: Sequence[Frame],
    aside: list[SetAside],
    path: Path,
    layout: str,
    progress: Progress,
    background: tuple[float, float, float] | None = None,
) -> Capture:
    """What the ``frames`` say, their poses still in float64."""
    try:
        sources = [Source(f.name, f.path, f.mask, f.size, background) for f in frames]
    except ValueError as error:
        raise InputError(f"{path}: {error}. {_WAY_OUT}") from error
    seen, unusable = look_through(sources, progress)
    aside = aside + unusable
    if not seen:
        raise no_photo_left(path, aside)
    by_name = {frame.name: frame for frame in frames}
    cameras = _cameras([by_name[one.photo.name] for one in seen], seen, path)
    return Capture(
        photos=posed_photos(seen, cameras.model),
        layout=layout,
        cameras=cameras,
        set_aside=aside,
        background=background if any(one.transparent for one in seen) else None,
    )


def _cameras(frames: Sequence[Frame], seen: Sequence[Seen], path: Path) -> Cameras:
    models = {_model(frame, path) for frame in frames}
    if len(models) > 1:
        raise InputError(
            f"{path}: it mixes {' and '.join(sorted(models))} cameras; one scene takes one kind."
        )
    model = models.pop()
    Ks = np.tile(np.eye(3), (len(frames), 1, 1))
    distortion = np.zeros((len(frames), 8))
    for i, (frame, one) in enumerate(zip(frames, seen, strict=True)):
        if model != "equirectangular":
            try:
                Ks[i], distortion[i] = _lens(frame, model, one.photo.width, one.photo.height)
            except ValueError as error:
                raise InputError(f"{path}: {frame.name}: {error}. {_WAY_OUT}") from error
    return Cameras(
        viewmats=torch.from_numpy(_world_to_camera(np.stack([f.camera_to_world for f in frames]))),
        Ks=torch.from_numpy(Ks).float(),
        width=torch.tensor([one.photo.width for one in seen]),
        height=torch.tensor([one.photo.height for one in seen]),
        model=model,
        distortion=torch.from_numpy(distortion).float() if distortion.any() else None,
    )


def _model(frame: Frame, path: Path) -> CameraModel:
    name = frame.settings.get("camera_model", "OPENCV")
    if not isinstance(name, str) or name not in _MODELS:
        raise InputError(
            f"{path}: camera_model {reprlib.repr(name)} is not supported (supported: {', '.join(_MODELS)})."
        )
    return "fisheye" if frame.settings.get("is_fisheye") is True else _MODELS[name]


def _lens(
    frame: Frame, model: CameraModel, width: int, height: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """K [3, 3] for the picture as it is, and distortion [8]; ValueError when the file has none."""
    w, h = frame.size or (width, height)
    angle_x, angle_y = frame.number("camera_angle_x"), frame.number("camera_angle_y")
    fx = frame.number("fl_x") or (w / 2 / math.tan(angle_x / 2) if 0 < angle_x < math.pi else 0.0)
    fy = frame.number("fl_y") or (h / 2 / math.tan(angle_y / 2) if 0 < angle_y < math.pi else 0.0)
    fx, fy = fx or fy, fy or fx
    if not (0 < fx < 1e7 and 0 < fy < 1e7):
        raise ValueError("no focal length for it (neither fl_x nor camera_angle_x)")
    K = np.array([[fx, 0, frame.number("cx", w / 2)], [0, fy, frame.number("cy", h / 2)], [0, 0, 1]])
    K[0] *= width / w
    K[1] *= height / h
    return K, _distortion(frame, model)


def _distortion(frame: Frame, model: CameraModel) -> npt.NDArray[np.float64]:
    known: tuple[str, ...]
    if model == "fisheye":
        known = _FISHEYE
    elif frame.settings.get("camera_model") == "FULL_OPENCV":
        known = (*_PINHOLE, "k4", "k5", "k6")
    else:
        # nerfstudio's k4 of a perspective lens multiplies r⁸, which OpenCV's model does not have.
        known = _PINHOLE
    for key in ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2"):
        if key not in known and frame.number(key) != 0:
            raise ValueError(f"the distortion {key} is not supported for a {model} camera")
    values = np.zeros(8)
    values[: len(known)] = [frame.number(key) for key in known]
    return values


def _world_to_camera(camera_to_world: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """OpenGL camera→world [C, 4, 4] to OpenCV world→camera: y and z of the camera point the other way."""
    return np.linalg.inv(camera_to_world * np.array([1.0, -1.0, -1.0, 1.0]))
