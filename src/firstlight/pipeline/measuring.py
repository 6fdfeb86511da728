"""How good a finished scene is: beside photos that it was not fitted to, where there are some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firstlight.evaluate import Depths, Evaluation, evaluate_photos, seen_mask
from firstlight.fitting import align_cameras, size_of
from firstlight.progress import Progress
from firstlight.render import near_for, render_camera
from firstlight.scene import Capture, Gaussians, Split


@dataclass(frozen=True, eq=False)
class Measured:
    """Numbers of a scene."""

    evaluation: Evaluation
    held_out: bool  # whether the photos were; otherwise the scene was fitted to them
    unaligned: Evaluation | None  # before cameras were aligned; None: they were not

    @property
    def summary(self) -> dict[str, Any]:
        whose = "held-out photos" if self.held_out else "training photos: none was held out"
        if self.unaligned is not None:
            whose += ", their cameras aligned to the frozen scene"
        return {
            **self.evaluation.means,
            "measured_on": whose,
            "psnr_unaligned_cameras": None if self.unaligned is None else self.unaligned.means["psnr"],
        }

    @property
    def per_photo(self) -> list[dict[str, Any]]:
        return [{**photo, "held_out": self.held_out} for photo in self.evaluation.per_photo]


def measure(
    gaussians: Gaussians,
    capture: Capture,
    split: Split,
    *,
    align: bool,
    antialiased: bool,
    folder: Path,
    progress: Progress,
) -> Measured:
    """The scene beside the photos that are held out, or those that train where none is.

    align: held-out cameras to the frozen scene first, as those that trained have moved or are known only up
    to a guess. folder: for the pictures.
    """
    held_out, unaligned, seen = bool(split.test), None, None
    shown = split.test or split.train
    near = near_for(size_of(capture.select(split.train)))  # the fit's
    if held_out and align:
        before = _renderer(gaussians, capture, antialiased, near)
        unaligned = evaluate_photos(before, capture, shown, progress=progress)
        cameras = align_cameras(
            gaussians, capture, shown, antialiased=antialiased, near=near, progress=progress
        )
        capture = replace(capture, cameras=cameras)
    if held_out:
        seen = _seen(gaussians, capture, split.train, antialiased, near)
    render = _renderer(gaussians, capture, antialiased, near)
    return Measured(evaluate_photos(render, capture, shown, folder, progress, seen), held_out, unaligned)


def _seen(
    gaussians: Gaussians, capture: Capture, train: list[int], antialiased: bool, near: float
) -> Callable[[int], npt.NDArray[np.uint8]]:
    """What of a photo training photos show, by the depth of the finished scene."""
    cameras = capture.cameras
    assert cameras is not None

    @torch.no_grad()
    def depths(index: int) -> Depths:
        camera = cameras.select([index])
        colors, alpha, _ = render_camera(
            gaussians, camera, sh_degree=0, antialiased=antialiased, depth=True, near=near
        )
        return Depths(camera, colors[..., 3], alpha)

    return lambda index: seen_mask(depths, index, cameras, train)


def _renderer(
    gaussians: Gaussians, capture: Capture, antialiased: bool, near: float
) -> Callable[[int], Tensor]:
    cameras = capture.cameras
    assert cameras is not None
    background = None if capture.background is None else torch.tensor(capture.background)

    @torch.no_grad()
    def render(index: int) -> Tensor:
        camera = cameras.select([index])
        return render_camera(gaussians, camera, background=background, antialiased=antialiased, near=near)[0]

    return render
