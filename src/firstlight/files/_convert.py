"""From one scene file, or several, to another, with what people want changed on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from firstlight.errors import InputError
from firstlight.files._formats import (
    files_of,
    format_by_ending,
    format_of,
    load_gaussians,
    save_gaussians,
    scene_file,
)
from firstlight.scene import Gaussians, Similarity
from firstlight.scene.edits import (
    Axis,
    inside_box,
    inside_sphere,
    most_important,
    rotation_by_degrees,
    turn_up,
)
from firstlight.scene.sh import MAX_DEGREE


def convert(
    scenes: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    box: Sequence[float] | None = None,
    sphere: Sequence[float] | None = None,
    min_opacity: float = 0.0,
    keep: int | None = None,
    degree: int | None = None,
    up: Axis | None = None,
    up_was: Axis = "-y",
    scale: float = 1.0,
    rotate: Sequence[float] = (0.0, 0.0, 0.0),
    translate: Sequence[float] = (0.0, 0.0, 0.0),
    spz_version: Literal[2, 3, 4] | None = None,
) -> Gaussians:
    """Read one scene or merge several, change it, and write it in the format that ``out`` ends with.

    All steps come in the order of the arguments. box: keep what is between two corners (x, y, z, X, Y, Z).
    sphere: keep what is around a centre (x, y, z, radius). min_opacity: drop what is fainter. keep: that many
    of the most important. degree: cut the spherical harmonics. up: turn so that the direction ``up_was``,
    which in scenes of photos is −y, becomes this one. scale, then rotate about the fixed axes x, y and z
    (degrees), then translate; colours turn along. spz_version: for .spz; by default 3, which more programs
    open.

    Returns what was written, before the format's rounding. InputError when an input cannot be used, nothing
    is left, or ``out`` cannot be written.
    """
    _check(box, sphere, keep, degree)
    _check_placement(scale, rotate, translate)
    out = Path(out)
    options: dict[str, Any] = {}
    if spz_version is not None:
        if format_by_ending(out).ending != ".spz":
            raise InputError(f"{out}: a version of .spz was asked for, but this is not one.")
        options["version"] = spz_version
    paths = [scenes] if isinstance(scenes, str | Path) else scenes
    scene = Gaussians.merge([load_gaussians(path) for path in paths])
    kept = scene.opacities >= min_opacity
    if box is not None:
        kept &= inside_box(scene.means, box[:3], box[3:])
    if sphere is not None:
        kept &= inside_sphere(scene.means, sphere[:3], sphere[3])
    if not kept.any():
        raise InputError(
            f"{', '.join(map(str, paths))}: nothing is left of {len(scene)} Gaussians. "
            "'firstlight info' says where they are."
        )
    if not kept.all():
        scene = scene.select(kept)
    if keep is not None:
        scene = most_important(scene, keep)
    if degree is not None:
        scene = scene.with_degree(min(degree, scene.degree))
    place = _placement(up, up_was, scale, rotate, translate)
    if place is not None:
        scene = scene.transform(place)
        if not scene.finite().all():
            raise InputError(
                f"{out}: after this scale and move its numbers are too large for a scene file. "
                "Scale or move it less."
            )
    save_gaussians(scene, out, **options)
    return scene


def describe(path: str | Path) -> dict[str, Any]:
    """What is in a scene file: its format, size, count, degree, where 90 % lie, and medians.

    InputError when it cannot be used.
    """
    path = scene_file(path)
    scene = load_gaussians(path)
    format = format_of(path)
    low, high = np.percentile(scene.means.numpy(), (5, 95), axis=0).tolist()
    return {
        "file": str(path),
        "format": format.name,
        "bytes": sum(file.stat().st_size for file in files_of(path)),
        "gaussians": len(scene),
        "sh_degree": scene.degree,
        "middle_90_percent": [low, high],
        "median_size": float(scene.scales.median()),
        "median_opacity": float(scene.opacities.median()),
    }


def _check(
    box: Sequence[float] | None, sphere: Sequence[float] | None, keep: int | None, degree: int | None
) -> None:
    if box is not None and (len(box) != 6 or any(a > b for a, b in zip(box[:3], box[3:], strict=True))):
        raise InputError(f"A box needs x y z of its lower and then of its upper corner, not {list(box)}.")
    if sphere is not None and (len(sphere) != 4 or not sphere[3] > 0):
        raise InputError(f"A sphere needs x y z of its centre and a radius above 0, not {list(sphere)}.")
    if keep is not None and keep < 1:
        raise InputError(f"Keep {keep} Gaussians: expected at least 1.")
    if degree is not None and not 0 <= degree <= MAX_DEGREE:
        raise InputError(f"Harmonics of degree {degree}: expected 0 to {MAX_DEGREE}.")


def _check_placement(scale: float, rotate: Sequence[float], translate: Sequence[float]) -> None:
    if not 0 < scale < math.inf:
        raise InputError(f"A scale of {scale}: expected one above 0, and no infinity.")
    for what, numbers in (("Rotating", rotate), ("Translating", translate)):
        if not all(map(math.isfinite, numbers)):
            raise InputError(f"{what} by {list(numbers)}: expected numbers that are finite.")


def _placement(
    up: Axis | None, up_was: Axis, scale: float, rotate: Sequence[float], translate: Sequence[float]
) -> Similarity | None:
    """The change of axes, then scale, turn and move; None where nothing changes."""
    turn = rotation_by_degrees(*rotate)
    if up is not None:
        turn = turn @ turn_up(up_was, up)
    place = Similarity(scale, turn, torch.tensor(list(translate), dtype=torch.float64))
    still = torch.equal(turn, torch.eye(3, dtype=torch.float64)) and not place.translation.any()
    return None if still and scale == 1 else place
