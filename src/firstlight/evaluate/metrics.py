"""How far a rendered picture is from the photo, in the numbers the field reports.

Every metric takes rendered [H, W, 3] float in [0, 1] (clamped first; a value that is not a number counts as
0), photo [H, W, 3] uint8 and, where only a part of the photo counts, mask [H, W] uint8 of which 128 and more
keep the pixel. All give NaN when the mask keeps nothing. PSNR itself lives in ``losses``, because the fit
reports it too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import flip_evaluator
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firstlight import losses
from firstlight.scene import KEEP_FROM

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def psnr(rendered: Tensor, photo: Bytes, mask: Bytes | None = None) -> float:
    """Peak signal-to-noise ratio in dB over kept pixels and channels; infinite for equal pictures."""
    return losses.psnr(*_tensors(rendered, photo, mask))


def ssim(rendered: Tensor, photo: Bytes, mask: Bytes | None = None) -> float:
    """Mean structural similarity (Wang et al. 2004): window 11, σ 1.5, zeros beyond the borders."""
    return losses.ssim(*_tensors(rendered, photo, mask))


@dataclass(frozen=True, eq=False)
class Flip:
    """What FLIP says of a picture."""

    mean: float  # over kept pixels; 0 = looks the same, 1 = as different as can be
    map: Floats  # [H, W] each pixel's; 0 where the mask ignores it


def flip(rendered: Tensor, photo: Bytes, mask: Bytes | None = None) -> Flip:
    """LDR-FLIP (Andersson et al. 2020): the difference seen when flipping between the two pictures.

    Seen at 67 pixels a degree, the default of its authors' tool. Where the mask ignores a pixel the render
    is taken to equal the photo, so that nothing ignored bleeds into its neighbours through FLIP's filters.
    """
    reference = photo.astype(np.float32) / 255
    test = clamped(rendered).numpy()
    keep = kept_pixels(photo, mask)
    test = np.where(keep[..., None], test, reference)
    error, _, _ = flip_evaluator.evaluate(reference, test, "LDR", applyMagma=False, computeMeanError=False)
    error_map: Floats = np.where(keep, error[..., 0], np.float32(0))
    return Flip(float(error_map[keep].mean(dtype=np.float64)) if keep.any() else math.nan, error_map)


def fit_colours(rendered: Tensor, photo: Bytes, mask: Bytes | None = None) -> Tensor:
    """``rendered`` after the affine colour change (3 × 3 and an offset) that brings it nearest the photo.

    Least squares over kept pixels, clamped to [0, 1] afterwards. PSNR after it tells what is wrong with a
    render apart from the exposure and white balance of a photo, which no other photo can foretell.
    """
    picture = clamped(rendered)
    keep = torch.from_numpy(kept_pixels(photo, mask))
    if not keep.any():
        return picture
    source = torch.cat([picture[keep], torch.ones(int(keep.sum()), 1)], 1).double()  # [M, 4]
    target = torch.from_numpy(photo)[keep].double() / 255  # [M, 3]
    # Normal equations are 4 × 4 however large the picture is; pinv, because a flat render is singular.
    change = torch.linalg.pinv(source.T @ source, hermitian=True) @ (source.T @ target)  # [4, 3]
    height, width, _ = picture.shape
    padded = torch.cat([picture, torch.ones(height, width, 1)], 2)
    fitted: Tensor = (padded @ change.float()).clamp(0, 1)
    return fitted


def clamped(rendered: Tensor) -> Tensor:
    """``rendered`` as float32 in [0, 1], without a gradient; not-a-number becomes 0."""
    return torch.nan_to_num(rendered.detach().float(), nan=0.0).clamp(0, 1)


def kept_pixels(photo: Bytes, mask: Bytes | None) -> npt.NDArray[np.bool_]:
    """True [H, W] where a pixel counts."""
    if mask is None:
        return np.ones(photo.shape[:2], np.bool_)
    return np.asarray(mask >= KEEP_FROM)


def _tensors(rendered: Tensor, photo: Bytes, mask: Bytes | None) -> tuple[Tensor, Tensor, Tensor | None]:
    return clamped(rendered), torch.from_numpy(photo), None if mask is None else torch.from_numpy(mask)
