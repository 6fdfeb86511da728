"""Compiling the kernels of a fit in two more processes, while the first one reads photos and finds cameras.

Compiled kernels are kept on disk, so this happens once on a computer, and again after an update. In a fit
without it, the first step would wait for all of them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from firstlight.density import Fixed
from firstlight.fitting import Fit, Rates, _adam_kernel
from firstlight.fitting.model import PlainModel
from firstlight.geometry import Stereo, _agreement_kernels, densify
from firstlight.losses import photometric
from firstlight.poses import Features, Sift
from firstlight.recipes import get_recipe
from firstlight.render import _projection_kernels
from firstlight.scene import Cameras, Capture, Photo
from firstlight.scene.capture import Picture
from firstlight.starts import RandomBox

STEPS, REST = "compile_steps", "compile_rest"  # functions below, each half of a minute's work or more
# -P: modules come from where firstlight's do, not from the folder that the user happens to be in.
COMMANDS = {
    part: (sys.executable, "-P", "-c", f"from firstlight.pipeline.warm_up import {part}; {part}()")
    for part in (STEPS, REST)
}
LAST = (_agreement_kernels.covered, _adam_kernel.update, _projection_kernels.project_backward)
PATIENCE = 180.0  # seconds; a process that needs longer than this is not of use


def is_cold(*kernels: Any) -> bool:
    """Whether one of them has yet to be compiled, by default of the last ones that are called.

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

    processes: dict[str, subprocess.Popen[bytes]]  # by part; none: nothing is
    patience: float  # seconds

    def wait(self, part: str) -> None:
        """Until ``part`` is done: it is ahead with work that this process would have to do as well."""
        if part in self.processes:
            with suppress(subprocess.TimeoutExpired):
                self.processes[part].wait(self.patience)


@contextmanager
def warming(
    commands: Mapping[str, Sequence[str]] = COMMANDS, patience: float = PATIENCE
) -> Iterator[Kernels]:
    """Compile beside what is done inside, if anything has yet to be compiled; it ends with what is inside.

    Should one of the processes die or hang, its kernels are compiled where they are first called, as always.
    """
    processes = {}
    for part, command in commands.items() if is_cold() else ():
        with suppress(OSError):
            processes[part] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
    try:
        yield Kernels(processes, patience)
    finally:
        for process in processes.values():
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


def compile_steps() -> None:
    """Call the kernels of a fit on next to nothing: as the default recipe does for few photos and for many.

    By the time that a first step comes to its loss, ``compile_rest`` has compiled it.
    """
    capture, many = tiny_capture(), get_recipe("default")
    for recipe in (many.variants[-1], many):
        fit = Fit(capture, replace(recipe, start=RandomBox(64), steps=2, sh_every=0.0), [0, 1], seed=0)
        fit.begin()
        for _ in range(2):
            fit.step()
        with torch.no_grad():
            fit.look(0, fit.camera(0))  # with depth, as measuring does


def compile_rest() -> None:
    """Call what a run needs before its fit, and what a step needs last: loss and optimiser."""
    descriptors = np.random.default_rng(1).integers(0, 255, (8, 128), np.uint8)
    points = Features(np.zeros((8, 2), np.float32), descriptors, np.zeros((8, 3), np.uint8))
    Sift().match(points, points)
    rendered = torch.zeros(16, 16, 3, requires_grad=True)
    loss = photometric(rendered, torch.zeros(16, 16, 3, dtype=torch.uint8))
    loss.backward()  # type: ignore[no-untyped-call]
    capture = tiny_capture()
    model = PlainModel(RandomBox(64)(capture, torch.Generator()), Fixed())
    for tensor in model.gaussians:
        tensor.grad = torch.zeros_like(tensor)
    model.step(torch.ones(len(model), dtype=torch.bool), Rates().at(0.0, extent=1.0))
    densify(capture, Stereo())
