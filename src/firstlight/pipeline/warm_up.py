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
from typing import Any

import numpy as np
import torch

from firstlight.fitting import Fit
from firstlight.fitting import _adam_kernel as last_kernels
from firstlight.recipes import get_recipe
from firstlight.scene import Cameras, Capture, Photo
from firstlight.scene.capture import Picture
from firstlight.starts import RandomBox

COMMAND = (sys.executable, "-c", "from firstlight.pipeline.warm_up import main; main()")
PATIENCE = 180.0  # seconds; a process that needs longer than this is not of use


def is_cold(kernel: Any = last_kernels.update) -> bool:
    """Whether a kernel has yet to be compiled, by default the last that a step of a fit calls.

    Numba has no public way to ask. Where its insides have changed, kernels count as compiled: then a first
    run takes longer, and nothing else happens.
    """
    try:
        return not kernel._cache._cache_file._load_index()
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
    """Two grey photos of nothing, with cameras."""

    def decode() -> Picture:
        return Picture(np.full((32, 40, 3), 128, np.uint8))

    viewmats = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    viewmats[:, 2, 3] = 4.0
    viewmats[1, 0, 3] = 0.5
    Ks = torch.tensor([[40.0, 0, 20], [0, 40, 16], [0, 0, 1]], dtype=torch.float64).repeat(2, 1, 1)
    size = torch.ones(2, dtype=torch.long)
    photos = [Photo(f"{number}.png", 40, 32, decode) for number in range(2)]
    return Capture(photos, "warm-up", Cameras(viewmats, Ks, 40 * size, 32 * size))


def main() -> None:
    """Two steps of the default recipe on next to nothing; they call every kernel of a fit."""
    capture = tiny_capture()
    recipe = replace(get_recipe("default"), start=RandomBox(64), steps=2, sh_every=0.0)
    fit = Fit(capture, recipe, [0, 1], seed=0)
    fit.begin()
    for _ in range(recipe.steps):
        fit.step()
