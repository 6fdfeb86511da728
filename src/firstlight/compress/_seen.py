"""How much each number of each Gaussian shows in pictures, and how coarsely it may be rounded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from firstlight.compress._cameras import near_plane
from firstlight.errors import InputError
from firstlight.files import FlzSteps, Seen
from firstlight.progress import Progress, Silent
from firstlight.render import render_camera
from firstlight.scene import Cameras, Gaussians

CLASSES = 16  # of what an .flz file tells apart
# Steps beside what equal shares of the error would give: shapes err coherently over many pixels.
_SHAPE = 0.7
# Octaves below what is usual for its size that a Gaussian is taken to be seen, though these cameras saw less:
# others see past what hid it.
UNSEEN = 1.0
# And the lowest class in use: of what these cameras hardly saw. On a scene of 40,000, 7 for 0 cost 1 % of the
# bytes and gave other cameras 0.7 dB at 0.5 MB and 7 dB at 0.7 MB.
LEAST = 8


@dataclass(frozen=True)
class Sensitivity:
    """Mean squared change of a picture's numbers by a unit change of an attribute, in octaves of its root."""

    seen: Seen  # 15 is the Gaussian of which most is seen
    steps: FlzSteps  # of class 0, where the colour step of class 15 is 1
    removal: Tensor  # [N] by leaving the Gaussian out, in octaves beside a colour step of 1 in class 15


def measure_sensitivity(
    gaussians: Gaussians,
    cameras: Cameras,
    *,
    probes: int = 2,
    seed: int = 0,
    progress: Progress | None = None,
) -> Sensitivity:
    """From backward passes of random signs over the pictures of ``cameras``.

    With v of random ±1, the square of Jᵀv is on average the diagonal of JᵀJ (Hutchinson 1989): what a small
    error of each number does to all pixels, in one backward pass a picture and probe. InputError where no
    camera sees anything.
    """
    squares = _mean_squares(gaussians, cameras, probes, seed, progress or Silent())
    if not squares["sh"].any():
        raise InputError(
            "None of the cameras sees anything of this scene, so nothing says what matters in it. Give the "
            "scene file instead of the run folder: cameras are then put around it."
        )
    with torch.no_grad():
        return _in_octaves(gaussians, squares, cameras)


def _mean_squares(
    gaussians: Gaussians, cameras: Cameras, probes: int, seed: int, progress: Progress
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    squares = {name: torch.zeros_like(tensor) for name, tensor in gaussians.tensors().items()}
    near = near_plane(gaussians, cameras)
    with progress.stage("measuring what is seen", len(cameras)) as stage:
        for i in range(len(cameras)):
            leaves = Gaussians(*(tensor.detach().clone().requires_grad_() for tensor in gaussians))
            picture, _, _ = render_camera(leaves, cameras.select([i]), near=near)
            for probe in range(probes):
                signs = torch.randint(0, 2, picture.shape, generator=generator) * 2.0 - 1.0
                gradients = torch.autograd.grad(picture, list(leaves), signs, retain_graph=probe + 1 < probes)
                for total, gradient in zip(squares.values(), gradients, strict=True):
                    total += gradient.square()
            stage.advance()
    pixels = 3 * int((cameras.width * cameras.height).sum())
    return {name: total / (probes * pixels) for name, total in squares.items()}


def _in_octaves(gaussians: Gaussians, squares: dict[str, Tensor], cameras: Cameras) -> Sensitivity:
    scales = gaussians.scales.double().sort(1, descending=True).values
    opacity = gaussians.opacities.double()
    uneven = (scales[:, 0] / scales[:, 2]).log2().div(2).clamp(0, 3 / math.log(2))
    colour = _octaves(squares["sh"][:, 0].mean(1))
    colour = torch.maximum(colour, _expected(gaussians, colour, cameras) - UNSEEN)
    floor = colour.max() - CLASSES + 1
    # Of a quaternion's numbers, of log-scales, of centres in middle standard deviations, of arcsin √opacity.
    by_logit = squares["logit_opacities"].double()
    shape = {
        "place": _octaves(squares["means"].mean(1) * scales[:, 1].square()),
        "size": _octaves(squares["log_scales"].mean(1)),
        "turn": _octaves(squares["quats"].sum(1) * gaussians.quats.square().sum(1) / 3) - uneven,
        "opacity": _octaves(by_logit * 4 / (opacity * (1 - opacity)).clamp(min=1e-4)),
    }
    more = {
        name: (octaves.clamp(min=floor) - colour.clamp(min=floor)).mean() for name, octaves in shape.items()
    }
    together = torch.stack([octaves.clamp(min=floor) - more[name] for name, octaves in shape.items()]).mean(0)
    least = 2.0 ** (CLASSES - 1)
    steps = {name: _SHAPE * least * 2.0 ** -float(value) for name, value in more.items()}
    steps["turn"] *= _SHAPE
    # A pixel is linear in the opacity of one Gaussian: a step down to nothing is that far along its slope.
    # Where it is nearly opaque the slope of the logit vanishes; its colour then says what is missing.
    gone = torch.maximum(by_logit / (1 - opacity).clamp(min=1e-2).square(), 0.3 * 4**colour)
    return Sensitivity(
        Seen((colour - floor).clamp(min=LEAST).numpy(), (together - floor).clamp(min=LEAST).numpy()),
        FlzSteps(colour=least, harmonics=least, **steps),
        _octaves(gone) - colour.max(),
    )


def _expected(gaussians: Gaussians, colour: Tensor, cameras: Cameras) -> Tensor:
    """Octaves [N] that a Gaussian of such a size, opacity and distance has where nothing hides it."""
    nearness = torch.cdist(gaussians.means, cameras.centers).clamp(min=1e-6).pow(-2).mean(1)
    expected = _octaves(gaussians.importance * nearness)
    seen = colour > colour.max() - CLASSES
    usual: Tensor = expected + (colour - expected)[seen].median()
    return usual


def _octaves(squares: Tensor) -> Tensor:
    return squares.double().clamp(min=1e-30).log2() / 2


def select_seen(seen: Seen, kept: Tensor) -> Seen:
    """Of the Gaussians in the mask ``kept`` [N]."""
    return seen.select(np.flatnonzero(kept.numpy()))
