"""Compiling the kernels of a fit in a second process, while the first one reads photos and finds cameras.

Compiled kernels are kept on disk, so this happens once on a computer, and again after an update. In a fit
without it, the first step would wait for all of them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from firstlight.fitting import Fit, Recipe, _adam_kernel
from firstlight.geometry import Stereo, _agreement_kernels, densify
from firstlight.poses import Features, Sift
from firstlight.recipes import get_recipe
from firstlight.scene import Cameras, Capture, Photo
from firstlight.scene.capture import Picture
from firstlight.starts import RandomBox

COMMAND = (sys.executable, "-c", "from firstlight.pipeline.warm_up import main; main()")
LAST = (_agreement_kernels.covered, _adam_kernel.update)
PATIENCE = 180.0  # seconds; a process that needs longer than this is not of use


def is_cold(*kernels: Any) -> bool:
    """Whether one of them has yet to be compiled, by default of the last ones that geometry and a fit call.

    Numba has no public way to ask. Where its insides have changed, kernels count as compiled: then a first
    run takes longer, and nothing else happens.
    """
    try:
        return not all(kernel._cache._cache_file._load_index() for kernel in kernels or LAST)
    except Exception:
        return False


@dataclass
class Kernels:
    """What is being compiled."""

    process: subprocess.Popen[bytes] | None  # None: nothing is
    patience: float  # seconds

    def wait(self) -> None:
        """Until it is done: the second process is ahead with work that this one would have to do as well."""
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(self.patience)


@contextmanager
def warming(command: Sequence[str] = COMMAND, patience: float = PATIENCE) -> Iterator[Kernels]:
    """Compile beside what is done inside, if anything has yet to be compiled; it ends with what is inside.

    Should the second process die or hang, kernels are compiled where they are first called, as always.
    """
    process = None
    if is_cold():
        with suppress(OSError):
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
    try:
        yield Kernels(process, patience)
    finally:
        if process is not None:
            process.kill()
            process.wait()


def tiny_capture() -> Capture:
    """Two photos of one wall of grey spots, with cameras."""
    wall = np.random.default_rng(0).integers(0, 255, (48, 72), np.uint8)

    def decode(left: int) -> Picture:
        return Picture(np.repeat(wall[:, left : left + 64, None], 3, axis=2))

    viewmats = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    viewmats[:, 2, 3] = 4.0
    viewmats[1, 0, 3] = -0.5  # at a distance of 4 and with this lens 8 pixels
    Ks = torch.tensor([[64.0, 0, 32], [0, 64, 24], [0, 0, 1]], dtype=torch.float64).repeat(2, 1, 1)
    size = torch.ones(2, dtype=torch.long)
    photos = [Photo(f"{number}.png", 64, 48, partial(decode, 8 * number)) for number in range(2)]
    return Capture(photos, "warm-up", Cameras(viewmats, Ks, 64 * size, 48 * size))


def main() -> None:
    """Call the kernels of a run on next to nothing: as the default recipe does for few photos and for many.

    In the order in which a run needs them, so that it finds the first ones sooner.
    """
    descriptors = np.random.default_rng(1).integers(0, 255, (8, 128), np.uint8)
    points = Features(np.zeros((8, 2), np.float32), descriptors, np.zeros((8, 3), np.uint8))
    Sift().match(points, points)
    capture = densify(tiny_capture(), Stereo())
    many = get_recipe("default")
    for recipe in (many.variants[-1], many):
        _two_steps(capture, replace(recipe, start=RandomBox(64), steps=2, sh_every=0.0))


def _two_steps(capture: Capture, recipe: Recipe) -> None:
    fit = Fit(capture, recipe, [0, 1], seed=0)
    fit.begin()
    with torch.no_grad():
        fit.look(0, fit.camera(0))  # with depth, as measuring does
    for _ in range(recipe.steps):
        fit.step()
