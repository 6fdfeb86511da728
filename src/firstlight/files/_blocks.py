"""Gaussians a block of rows at a time: a large scene must not cost its own size again to read or write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from firstlight.errors import InputError
from firstlight.scene import Gaussians
from firstlight.scene.sh import sh_count

Array = npt.NDArray[Any]

# Rows handled at once: a block of them stays in the cache while its columns are worked on. A multiple of 256,
# the chunk of compressed .ply.
BLOCK = 4096

# Some writers store log 0 for a flat splat and logit 1 for an opaque one; these are as good.
MIN_LOG_SCALE = -20.0
MAX_LOGIT = 13.815510557964274  # logit(1 − 1e-6)


def blocks(count: int) -> Iterator[slice]:
    """Slices of at most ``BLOCK`` rows that together cover ``count``."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def empty(count: int, degree: int) -> Gaussians:
    """Room for ``count`` Gaussians, float32, not filled in."""
    shapes = ((3,), (4,), (3,), (), (sh_count(degree), 3))
    return Gaussians(*(torch.empty(count, *shape) for shape in shapes))


def views(scene: Gaussians) -> dict[str, Array]:
    """The tensors of a scene by name as arrays that share its memory."""
    return {name: tensor.numpy() for name, tensor in scene.tensors().items()}


def unit_quats(quats: Array) -> npt.NDArray[np.float64]:
    """Quaternions [n, 4] at length 1; zeros stay zeros."""
    quats = quats.astype(np.float64)
    unit: npt.NDArray[np.float64] = quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-30)
    return unit


def byte_to_logit(opacity: Array) -> npt.NDArray[np.float32]:
    """Opacities stored as 0…255 → logits; 0 and 255 become 1e-6 and 1 − 1e-6."""
    share = np.clip(opacity.astype(np.float64) / 255, 1e-6, 1 - 1e-6)
    return np.log(share / (1 - share)).astype(np.float32)


def to_byte(unit: Array) -> npt.NDArray[np.uint8]:
    """[0, 1] → 0…255 by rounding; what lies outside is clipped."""
    stored: npt.NDArray[np.uint8] = np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    return stored


def to_log(values: Array) -> Array:
    """sign(x)·log(1 + |x|) in the type of ``values``: fine near the middle, coarse far away."""
    return np.sign(values) * np.log1p(np.abs(values))


def from_log(logs: Array) -> Array:
    """The inverse."""
    return np.sign(logs) * np.expm1(np.abs(logs))


def repaired(scene: Gaussians, path: Path) -> Gaussians:
    """Mend in place what is harmless; InputError for NaN and infinity that mean something went wrong."""
    scene.log_scales[scene.log_scales == -torch.inf] = MIN_LOG_SCALE
    scene.logit_opacities.nan_to_num_(torch.nan, MAX_LOGIT, -MAX_LOGIT)
    scene.quats[(scene.quats == 0).all(1), 0] = 1.0  # no rotation at all is no turn
    broken = int((~scene.finite()).sum())
    if broken:
        nowhere = int((~scene.means.isfinite().all(1)).sum())
        raise InputError(
            f"{path}: {broken} of {len(scene)} Gaussians hold NaN or infinity, {nowhere} of them in their "
            "positions. The program that made the file went wrong: export it again."
        )
    return scene
