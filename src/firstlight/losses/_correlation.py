"""How far rendered depth is from being known depth up to scale and offset."""

from __future__ import annotations

from torch import Tensor

from firstlight.scene import KEEP_FROM

_FEWEST = 16  # pixels, below which a correlation says nothing
_ROUNDING = 1e-14  # of mean squares: what varies less is rounding of float32


def depth_correlation(depth: Tensor, known: Tensor, mask: Tensor | None = None) -> Tensor:
    """1 − Pearson's correlation of ``depth`` [H, W] and ``known`` [H, W] (0 = unknown).

    It cares neither for the scale nor for the offset of ``known`` (LM-Gaussian, Yu et al. 2024). Where either
    is so flat that its differences are mere rounding, the correlation fades to nothing.
    mask: [H, W] uint8, 128 and more keep the pixel. Returns a scalar in [0, 2], 0 where fewer than 16
    pixels are known or all of them are equal.
    """
    counts = known > 0
    if mask is not None:
        counts &= mask >= KEEP_FROM
    if int(counts.sum()) < _FEWEST:
        return depth.new_zeros(())
    x, y = depth[counts], known[counts]
    unsure = [_ROUNDING * one.detach().square().sum() for one in (x, y)]
    x, y = x - x.mean(), y - y.mean()
    spread = (x.square().sum() + unsure[0]) * (y.square().sum() + unsure[1])
    if not (x.any() and y.any()) or float(spread.detach()) <= 0:
        return depth.new_zeros(())
    correlation: Tensor = (x * y).sum() / spread.sqrt()
    return 1 - correlation
