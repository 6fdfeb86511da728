"""The point on the rate–distortion curve that has a given size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from firstlight.compress._cameras import cameras_around, cameras_of_run, near_plane
from firstlight.compress._seen import Sensitivity, measure_sensitivity, select_seen
from firstlight.errors import InputError
from firstlight.files import atomic_write, decode_flz, encode_flz, load_gaussians, scene_file
from firstlight.progress import Progress, Silent
from firstlight.render import NEAR, render_camera
from firstlight.scene import Cameras, Gaussians

COARSEST, FINEST = 1.0, 15.0  # quality
CLOSE = 0.02  # of the target: close enough
TRIES = 12
MEASURED, COMPARED = 24, 8  # cameras that sensitivities and PSNR are measured with, at most


@dataclass(frozen=True)
class Point:
    """One point of the curve."""

    quality: float  # octaves that the finest colour step is below 1
    bytes: int
    gaussians: int
    psnr: float  # dB, between pictures of the file and of the scene, over all pixels


@dataclass(frozen=True)
class Compressed:
    """A file's content, and every point that was tried on the way to it, smallest first."""

    data: bytes
    point: Point
    curve: list[Point]


def encode_at(gaussians: Gaussians, sensitivity: Sensitivity, quality: float) -> tuple[bytes, int]:
    """The .flz of one quality, and how many Gaussians are in it.

    Those are left out of which less would be missing than what rounding costs the others.
    """
    kept = sensitivity.removal > -quality
    if not kept.any():
        kept[sensitivity.removal.argmax()] = True
    data = encode_flz(
        gaussians.select(kept),
        steps=sensitivity.steps.times(2.0**-quality),
        seen=select_seen(sensitivity.seen, kept),
    )
    return data, int(kept.sum())


def compress(
    gaussians: Gaussians,
    target: int,
    measured: Cameras,
    compared: Cameras,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Compressed:
    """An .flz of ``target`` bytes, within 5 %, with as little error as can be had in it.

    measured: cameras whose pictures say what matters. compared: those that PSNR is measured with.
    InputError where the scene cannot be so small. Where it does not fill the target, the finest is returned.
    """
    progress = progress or Silent()
    sensitivity = measure_sensitivity(gaussians, measured, seed=seed, progress=progress)
    near = near_plane(gaussians, compared)
    original = pictures(gaussians, compared, near)
    found: dict[float, tuple[bytes, Point]] = {}

    def attempt(quality: float) -> int:
        data, kept = encode_at(gaussians, sensitivity, quality)
        seen = psnr(pictures(decode_flz(data, Path("compressed scene")), compared, near), original)
        found[quality] = data, Point(quality, len(data), kept, seen)
        return len(data)

    with progress.stage("looking for the size", TRIES) as stage:

        def told(quality: float) -> int:
            size = attempt(quality)
            stage.advance()
            stage.say(f"{size_in_words(size)}, PSNR {found[quality][1].psnr:.1f}")
            return size

        quality = _bisect(told, target)
    data, point = found[quality]
    if point.bytes > target * 1.05:
        raise InputError(
            f"{size_in_words(point.bytes)} is the least for this scene, not {size_in_words(target)}: "
            "set a larger --target-mb, or thin it out with 'firstlight convert --keep'."
        )
    return Compressed(data, point, sorted((p for _, p in found.values()), key=lambda p: p.bytes))


def _bisect(size_at: Callable[[float], int], target: int) -> float:
    """The quality whose size is nearest to ``target``, by regula falsi on the logarithm of sizes."""
    wanted = math.log(target)
    low, high = COARSEST, FINEST
    sizes: dict[float, float] = {}
    ends: dict[bool, float] = {}  # whether above the target → the nearest quality known to be
    guess = 8.0
    for _ in range(TRIES):
        sizes[guess] = math.log(size_at(guess)) - wanted
        off = sizes[guess]
        if abs(off) <= CLOSE or (guess == FINEST and off < 0) or (guess == COARSEST and off > 0):
            break
        ends[off > 0] = guess
        low, high = ends.get(False, COARSEST), ends.get(True, FINEST)
        if len(ends) == 2:
            share = -sizes[low] / (sizes[high] - sizes[low])
            guess = low + (high - low) * min(max(share, 0.1), 0.9)
        else:  # a step of quality is about a third more bytes
            guess = min(max(guess - off / 0.3, COARSEST), FINEST)
    return min(sizes, key=lambda quality: abs(sizes[quality]))


def compress_file(
    path: Path,
    target_mb: float,
    out: Path,
    *,
    max_size: int = 480,
    seed: int = 0,
    progress: Progress | None = None,
) -> Compressed:
    """Compress a scene file or a run to ``out``, an .flz of ``target_mb`` million bytes.

    A run's own cameras say what matters, those of every second photo, and the others measure; for a scene
    without cameras a ring around it does both. InputError when an input cannot be used.
    """
    target = round(target_mb * 1e6) if math.isfinite(target_mb * 1e6) else 0
    if target < 1:
        raise InputError(f"A target of {target_mb} MB: expected at least a byte, which is 0.000001.")
    if max_size < 2:
        raise InputError(f"Pictures of {max_size} pixels show nothing: expected a --max-size of 2 or more.")
    if out.suffix.lower() != ".flz":
        raise InputError(
            f"{out}: expected a name that ends with .flz; 'firstlight convert' makes others of it."
        )
    if out.exists() and out.samefile(scene_file(path)):
        raise InputError(f"{out}: is the scene itself, which would be lost. Give --out another name.")
    gaussians = load_gaussians(path)
    cameras = cameras_of_run(path, max_size) if path.is_dir() else None
    if cameras is None or len(cameras) < 2:
        cameras = cameras_around(gaussians, 2 * COMPARED, max_size)
    index = torch.arange(len(cameras))
    measured, compared = _spaced(index[::2], MEASURED), _spaced(index[1::2], COMPARED)
    compressed = compress(
        gaussians,
        target,
        cameras.select(measured),
        cameras.select(compared),
        seed=seed,
        progress=progress,
    )
    with atomic_write(out) as temporary:
        temporary.write_bytes(compressed.data)
    return compressed


def size_in_words(size: int) -> str:
    """'812 bytes', '23.45 KB', '1.350 MB'."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1e3:.2f} KB" if size < 1e5 else f"{size / 1e6:.3f} MB"


def _spaced(index: Tensor, most: int) -> Tensor:
    count = min(len(index), most)
    return index[torch.arange(count) * len(index) // count]


@torch.no_grad()
def pictures(gaussians: Gaussians, cameras: Cameras, near: float = NEAR) -> list[Tensor]:
    return [
        render_camera(gaussians, cameras.select([i]), near=near)[0].clamp(0, 1).mul(255).round().byte()
        for i in range(len(cameras))
    ]


def psnr(pictures: list[Tensor], original: list[Tensor]) -> float:
    """Over all pixels of all pictures, which are rounded to bytes; infinite where they are the same."""
    squares = sum(
        float((a.float() - b.float()).div(255).square().sum())
        for a, b in zip(pictures, original, strict=True)
    )
    numbers = sum(picture.numel() for picture in original)
    return -10 * math.log10(squares / numbers) if squares else math.inf
