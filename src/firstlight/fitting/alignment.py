"""Cameras of held-out photos, found by the scene itself: how methods that move cameras are measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from firstlight.fitting.cameras import CameraRefinement, MovingCameras, reach_of, size_of
from firstlight.fitting.pictures import Pictures, as_tensors
from firstlight.losses import photometric
from firstlight.progress import Progress, Silent
from firstlight.render import near_for, render_camera
from firstlight.scene import Cameras, Capture, Gaussians

STEPS = 60  # at each scale of the photos
SCALES = (0.25, 0.5, 1.0)
RATES = CameraRefinement(final=0.03, start=0.0, prior=0.0)

Loss = Callable[[float], Tensor]  # of a photo at a scale


def align_cameras(
    gaussians: Gaussians,
    capture: Capture,
    photos: list[int],
    *,
    antialiased: bool = False,
    near: float | None = None,
    steps: int = STEPS,
    progress: Progress | None = None,
) -> Cameras:
    """The cameras of ``capture``, those of ``photos`` moved to where the frozen scene looks most like them.

    When training cameras move, the scene moves with them, and other cameras no longer fit it; so these are
    aligned to it before anything is measured (Lin et al. 2021, BARF; Fan et al. 2024, InstantSplat). Shrunken
    photos come first, in which a shift of some pixels still finds its way. The camera with the smallest loss
    is kept, the one at the start among them. steps: at each of three scales of the photos.
    near: of ``render_camera``; None: as the size of ``capture`` asks for.
    """
    assert capture.cameras is not None
    frozen, pictures = gaussians.detach(), Pictures(capture)
    background = None if capture.background is None else torch.tensor(capture.background)
    plane = near_for(size_of(capture)) if near is None else near
    viewmats = capture.cameras.viewmats.clone()
    with (progress or Silent()).stage("aligning held-out cameras", len(photos)) as stage:
        for photo in photos:
            moving = MovingCameras(capture.cameras.select([photo]))
            moving.reach.fill_(reach_of(capture.cameras.select([photo]), frozen.means))

            def loss(scale: float, photo: int = photo, moving: MovingCameras = moving) -> Tensor:
                camera = moving.place(pictures.camera(photo, scale), 0)
                picture, _, _ = render_camera(
                    frozen, camera, background=background, antialiased=antialiased, near=plane
                )
                return photometric(picture, *as_tensors(pictures.at(photo, scale)))

            viewmats[photo] = _aligned(moving, loss, steps).to(viewmats.dtype)
            stage.advance()
    return replace(capture.cameras, viewmats=viewmats)


def _aligned(moving: MovingCameras, loss: Loss, steps: int) -> Tensor:
    """The matrix [4, 4] of the one camera in ``moving`` at which ``loss`` of the whole photo is smallest."""
    best, smallest = moving.viewmats[0].clone(), math.inf

    def look() -> None:
        nonlocal best, smallest
        with torch.no_grad():
            found = float(loss(1.0))
        if found < smallest:
            best, smallest = moving.viewmats[0].clone(), found

    look()
    for number, scale in enumerate(SCALES):
        for step in range(steps):
            value = loss(scale)
            value.backward()  # type: ignore[no-untyped-call]
            moving.step(0, RATES, (number + step / steps) / len(SCALES))
        look()
    return best
