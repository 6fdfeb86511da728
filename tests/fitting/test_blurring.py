"""Photos that begin blurred."""

from __future__ import annotations

import numpy as np
import pytest

from firstlight.fitting import Mollification
from firstlight.scene import Picture

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_the_blur_shrinks_to_nothing() -> None:
    blur = Mollification(width=0.05, last=0.005, until=0.5)
    assert blur.sigma(0.0, 60) == pytest.approx(3.0)
    assert blur.sigma(0.25, 60) == pytest.approx(3.0 * 0.1**0.5)
    assert blur.sigma(0.5, 60) == 0 and blur.sigma(1.0, 60) == 0
    roughness = [blur.apply(Picture(NOISE), fraction).rgb.std() for fraction in (0.0, 0.2, 0.35, 0.5)]
    assert roughness == sorted(roughness) and roughness[0] < 0.3 * roughness[-1]
    assert blur.apply(Picture(NOISE), 0.5).rgb is NOISE
    assert abs(blur.apply(Picture(NOISE), 0.0).rgb.mean() - NOISE.mean()) < 3


def test_what_is_masked_colours_nothing_beside_it() -> None:
    rgb = np.full((30, 30, 3), 100, np.uint8)
    rgb[:, 15:] = 255
    mask = np.full((30, 30), 255, np.uint8)
    mask[:, 15:] = 0
    blurred = Mollification(width=0.1).apply(Picture(rgb, mask), 0.0)
    assert (blurred.rgb == rgb).all() and blurred.mask is mask
    assert (Mollification(width=0.1).apply(Picture(rgb), 0.0).rgb[:, 14] > 110).all()
