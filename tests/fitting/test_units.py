"""The unit that cameras come in makes no difference."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from firstlight.capture import load_demo
from firstlight.density import Mcmc
from firstlight.fitting import Fit, OpacityPenalty, Photometric, Recipe, ScalePenalty
from firstlight.pipeline import prepare
from firstlight.scene import Similarity
from firstlight.starts import RandomBox
from tests.fitting.sheets import sheet, view_of


def test_the_penalty_on_scales_knows_no_unit() -> None:
    photo = torch.zeros(48, 64, 3, dtype=torch.uint8)
    view = replace(view_of(sheet(), photo, None), extent=4.0)
    larger = replace(view.gaussians, log_scales=(1000 * view.gaussians.scales).log())
    paid = ScalePenalty(0.5)(view)
    assert float(paid) == pytest.approx(0.5 * 0.06)
    torch.testing.assert_close(ScalePenalty(0.5)(replace(view, gaussians=larger, extent=4000.0)), paid)


def test_millimetres_are_fitted_as_well_as_metres(one_thread) -> None:
    capture = prepare(load_demo(with_cameras=True).select(range(6)), 48)
    losses = (Photometric(), OpacityPenalty(0.01), ScalePenalty(0.01))
    recipe = Recipe("units", "", RandomBox(count=800), Mcmc(max_gaussians=1000), steps=100, losses=losses)
    quality = []
    for scale in (1.0, 1000.0):
        moved = capture.transform(replace(Similarity.identity(), scale=scale))
        fit = Fit(moved, recipe, [0, 1, 2, 3, 4], seed=0)
        fit.begin()
        for _ in range(100):
            fit.step()
        quality.append(fit.probe([0, 1, 2, 3, 4]))
    assert quality[1] == pytest.approx(quality[0], abs=0.3)
