"""Cameras that stand far from the origin, as in coordinates of the whole Earth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from firstlight.progress import Progress
from firstlight.scene import Capture, Similarity, unit_of

_ROUNDING = 2.0**-24  # of a number, in float32
_BLURRED = 1e-5  # of the scene: where cameras are no surer than this, pixels are off by hundredths
_ONE_PLACE = 1e-10  # of the way to the origin: nearer together than this is what rounding leaves


def in_single_precision(capture: Capture, path: Path, progress: Progress) -> Capture:
    """The ``capture`` read from ``path``, its float64 poses in float32, in which all else computes.

    Geo-referenced coordinates (UTM, ECEF) are millions of metres, which float32 knows to half a metre. Where
    they are that large beside the scene, the origin moves to the cameras first, and the user is told.
    """
    origin = _new_origin(capture)
    if origin is not None:
        capture = capture.transform(Similarity(1.0, torch.eye(3, dtype=torch.float64), -origin))
        where = ", ".join(f"{value:.12g}" for value in origin.tolist())
        progress.note(
            f"{path}: the cameras stand so far out that float32 would blur the scene. The origin "
            f"is now at ({where}): add that to what comes out to have the file's coordinates again."
        )
    assert capture.cameras is not None
    return replace(capture, cameras=replace(capture.cameras, viewmats=capture.cameras.viewmats.float()))


def _new_origin(capture: Capture) -> Tensor | None:
    """The mean of the cameras in whole units, None where the old origin will do."""
    assert capture.cameras is not None
    middle = capture.cameras.centers.mean(0)
    far, size = float(middle.norm()), _size(capture, middle)
    if size <= _ONE_PLACE * far or _ROUNDING * far <= _BLURRED * size:
        return None
    unit = unit_of(size)
    return (middle / unit).round() * unit


def _size(capture: Capture, middle: Tensor) -> float:
    """How far cameras and points reach from ``middle``: all cameras, half of the points."""
    assert capture.cameras is not None
    size = capture.cameras.extent
    if capture.points is not None and len(capture.points):
        size = max(size, float((capture.points.xyz - middle).norm(dim=-1).median()))
    return size
