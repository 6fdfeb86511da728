"""Photos against what is rendered from where they were taken."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from firstlight.evaluate.lpips import Lpips, lpips_missing
from firstlight.evaluate.metrics import (
    Bytes,
    Floats,
    clamped,
    fit_colours,
    flip,
    kept_pixels,
    psnr,
    ssim,
)
from firstlight.files.atomic import atomic_write
from firstlight.progress import Progress, Silent
from firstlight.scene import KEEP_FROM, Capture, Picture

# Of pixels whose surface a training photo shows: their share, and the numbers over them alone.
SEEN = ("seen", "psnr_seen", "ssim_seen", "flip_seen")
SHADE = 0.35  # of its brightness that a pixel keeps where no training photo saw its surface


@dataclass(frozen=True)
class PhotoScore:
    """The numbers of one photo."""

    name: str
    width: int
    height: int
    psnr: float  # dB
    ssim: float
    flip: float
    psnr_aligned: float  # dB after an affine colour fit: never the headline
    lpips: float | None
    seen: float | None = None  # share of the pixels whose surface a training photo shows; None: not asked
    psnr_seen: float | None = None  # the same numbers over these pixels alone
    ssim_seen: float | None = None
    flip_seen: float | None = None
    files: dict[str, str] = field(
        default_factory=dict
    )  # render, photo, error, seen: relative to the run folder


@dataclass(frozen=True)
class Evaluation:
    """The numbers of several photos."""

    scores: list[PhotoScore]
    lpips_note: str  # why there is no LPIPS; empty when there is

    @property
    def means(self) -> dict[str, Any]:
        """Over photos, as ``run.json`` keeps them in its summary; null where there is no number."""
        metrics = ("psnr", "ssim", "flip", "lpips", "psnr_aligned", *SEEN)
        return {name: self._mean(name) for name in metrics} | {"lpips_note": self.lpips_note}

    @property
    def per_photo(self) -> list[dict[str, Any]]:
        """Each photo's numbers, as ``run.json`` keeps them; null where there is no number."""
        return [{key: _finite(value) for key, value in asdict(score).items()} for score in self.scores]

    def _mean(self, metric: str) -> float | None:
        values = [getattr(score, metric) for score in self.scores]
        # A photo that is met exactly has an infinite PSNR, which says nothing of the others.
        values = [value for value in values if value is not None and math.isfinite(value)]
        return sum(values) / len(values) if values else None


def evaluate_photos(
    render: Callable[[int], Tensor],
    capture: Capture,
    indices: list[int],
    folder: Path | None = None,
    progress: Progress | None = None,
    seen: Callable[[int], Bytes] | None = None,
) -> Evaluation:
    """Compare ``render(i)`` [H, W, 3] with photo ``i`` for each of ``indices``, one photo at a time.

    ``seen(i)`` [H, W] is 255 where a training photo shows what photo ``i`` does (``seen_mask``). With it, the
    numbers are also taken over these pixels alone, and a fourth picture is the render with the others dark.

    Renders are rounded to 8 bits before anything is measured, so that the numbers can be had again from the
    files. With a ``folder`` (the run's ``renders/``), each photo leaves its pictures there: what was
    rendered, the photo at that size, and the FLIP error in false colours (black 0, bright 1).

    InputError when ``folder`` cannot be written to, ValueError when a render has another size than its photo.
    """
    note = lpips_missing()
    lpips = Lpips() if note is None else None
    scores = []
    with (progress or Silent()).stage("comparing with photos", len(indices)) as stage:
        for index in indices:
            known = None if seen is None else seen(index)
            scores.append(_score(render(index), capture, index, folder, lpips, known))
            stage.advance()
            stage.say(f"PSNR {scores[-1].psnr:.2f}")
    return Evaluation(scores, note or "")


def _score(
    rendered: Tensor,
    capture: Capture,
    index: int,
    folder: Path | None,
    lpips: Lpips | None,
    seen: Bytes | None,
) -> PhotoScore:
    photo = capture.photos[index]
    picture: Picture = photo.decode()
    if tuple(rendered.shape) != picture.rgb.shape:
        raise ValueError(
            f"{photo.name}: rendered {list(rendered.shape)}, but the photo is {list(picture.rgb.shape)}"
        )
    rounded = to_bytes(rendered)
    test, reference, mask = torch.from_numpy(rounded).float() / 255, picture.rgb, picture.mask
    difference = flip(test, reference, mask)
    files: dict[str, str] = {}
    if folder is not None:
        pictures = {"render": rounded, "photo": reference, "error": false_colours(difference.map)}
        if seen is not None:
            pictures["seen"] = shaded(rounded, seen)
        files = _write(folder, f"{index:04d}-{safe_name(photo.name)}", pictures)
    return PhotoScore(
        name=photo.name,
        width=photo.width,
        height=photo.height,
        psnr=psnr(test, reference, mask),
        ssim=ssim(test, reference, mask),
        flip=difference.mean,
        psnr_aligned=psnr(fit_colours(test, reference, mask), reference, mask),
        lpips=None if lpips is None else lpips(test, reference, mask),
        **({} if seen is None else _where_seen(test, reference, mask, seen)),
        files=files,
    )


def _where_seen(test: Tensor, reference: Bytes, mask: Bytes | None, seen: Bytes) -> dict[str, float]:
    """The numbers over pixels that count and whose surface a training photo shows."""
    kept = kept_pixels(reference, mask)
    both = np.where(kept, seen, np.uint8(0))
    return {
        "seen": float((both >= KEEP_FROM)[kept].mean()) if kept.any() else math.nan,
        "psnr_seen": psnr(test, reference, both),
        "ssim_seen": ssim(test, reference, both),
        "flip_seen": flip(test, reference, both).mean,
    }


def _write(folder: Path, stem: str, pictures: dict[str, Bytes]) -> dict[str, str]:
    """Write PNGs; returns their paths relative to the folder above."""
    files = {}
    for kind, picture in pictures.items():
        path = folder / f"{stem}.{kind}.png"
        with atomic_write(path) as temporary:
            _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            temporary.write_bytes(encoded.tobytes())
        files[kind] = f"{folder.name}/{path.name}"
    return files


def to_bytes(rendered: Tensor) -> Bytes:
    """[H, W, 3] in [0, 1] → uint8, rounded."""
    return (clamped(rendered) * 255).round().byte().numpy()


def false_colours(error: Floats) -> Bytes:
    """Errors [H, W] in [0, 1] → magma [H, W, 3] uint8, the map that FLIP's authors use."""
    level = np.rint(np.clip(error, 0, 1) * 255).astype(np.uint8)
    colored = cv2.applyColorMap(level, cv2.COLORMAP_MAGMA)  # BGR
    return np.ascontiguousarray(colored[..., ::-1])


def shaded(picture: Bytes, seen: Bytes) -> Bytes:
    """``picture`` [H, W, 3] dark where ``seen`` [H, W] is below 128."""
    dark = np.rint(SHADE * picture.astype(np.float32)).astype(np.uint8)
    return np.where((seen >= KEEP_FROM)[..., None], picture, dark)


def safe_name(name: str) -> str:
    """A photo's name as part of a file name on any system: letters, digits, '-', '_' and '.', at most 60."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    return plain.strip("._-")[-60:] or "photo"


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
