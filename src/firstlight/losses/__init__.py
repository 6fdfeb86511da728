"""What a picture is compared by: one function a term, no state."""

from firstlight.losses._correlation import depth_correlation
from firstlight.losses._depth import depth_l1
from firstlight.losses._l1 import l1
from firstlight.losses._needle_penalty import needle_penalty
from firstlight.losses._opacity_penalty import opacity_penalty
from firstlight.losses._photometric import photometric
from firstlight.losses._psnr import psnr
from firstlight.losses._scale_penalty import scale_penalty
from firstlight.losses._smoothness import depth_smoothness
from firstlight.losses._ssim import ssim

__all__ = [
    "depth_correlation",
    "depth_l1",
    "depth_smoothness",
    "l1",
    "needle_penalty",
    "opacity_penalty",
    "photometric",
    "psnr",
    "scale_penalty",
    "ssim",
]
