"""Photos that begin blurred: what is coarse is learned before what is fine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from firstlight.scene import KEEP_FROM, Picture

_SHARP = 0.3  # pixels: a blur below it changes nothing to be seen


@dataclass(frozen=True)
class Mollification:
    """A Gaussian blur of each photo; its width falls, exponentially, from ``width`` to ``last`` at ``until``.

    Data mollification (Tran et al. 2023, for fields; a low-pass on what a fit is asked for, as frequency
    annealing is one on what it can say): early Gaussians cannot memorise detail that a few photos do not
    pin down. From ``until`` of the steps on photos are as they are.
    """

    width: float = 0.01  # standard deviation, of the picture's longer side
    last: float = 0.001
    until: float = 0.5

    def sigma(self, fraction: float, side: int) -> float:
        """Standard deviation in pixels when ``fraction`` of the steps is done; 0 for none."""
        if fraction >= self.until:
            return 0.0
        width = side * self.width * math.exp(math.log(self.last / self.width) * fraction / self.until)
        return width if width >= _SHARP else 0.0

    def apply(self, picture: Picture, fraction: float) -> Picture:
        """``picture`` blurred; what its mask ignores gives no colour to its neighbours."""
        sigma = self.sigma(fraction, max(picture.rgb.shape[:2]))
        if sigma == 0:
            return picture
        if picture.mask is None:
            blurred = cv2.GaussianBlur(picture.rgb, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
            return Picture(np.asarray(blurred, np.uint8))
        kept = (picture.mask >= KEEP_FROM).astype(np.float32)[..., None]
        colours = cv2.GaussianBlur(kept * picture.rgb, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        share = cv2.GaussianBlur(kept, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[..., None]
        rgb = np.where(kept > 0, colours / np.maximum(share, 1e-6), picture.rgb)
        return Picture(np.rint(rgb).astype(np.uint8), picture.mask)
