"""The unit that cameras come in makes no difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from firstlight.capture import load_demo
from firstlight.density import Mcmc
from firstlight.fitting import Fit, OpacityPenalty, Photometric, Recipe, ScalePenalty
from firstlight.pipeline import prepare
from firstlight.pipeline.measuring import measure
from firstlight.progress import Silent
from firstlight.render import NEAR, near_for
from firstlight.scene import Similarity, Split
from firstlight.starts import RandomBox
from tests.fitting.sheets import sheet, view_of


def test_the_penalty_on_scales_knows_no_unit() -> None:
    photo = torch.zeros(48, 64, 3, dtype=torch.uint8)
    view = replace(view_of(sheet(), photo, None), extent=4.0)
    larger = replace(view.gaussians, log_scales=(1000 * view.gaussians.scales).log())
    paid = ScalePenalty(0.5)(view)
    assert float(paid) == pytest.approx(0.5 * 0.06)
    torch.testing.assert_close(ScalePenalty(0.5)(replace(view, gaussians=larger, extent=4000.0)), paid)


def test_millimetres_and_kilometres_are_fitted_as_well_as_metres(one_thread) -> None:
    capture = prepare(load_demo(with_cameras=True).select(range(6)), 48)
    losses = (Photometric(), OpacityPenalty(0.01), ScalePenalty(0.01))
    recipe = Recipe("units", "", RandomBox(count=800), Mcmc(max_gaussians=1000), steps=100, losses=losses)
    quality = []
    for scale in (1.0, 1000.0, 0.001):
        moved = capture.transform(replace(Similarity.identity(), scale=scale))
        fit = Fit(moved, recipe, [0, 1, 2, 3, 4], seed=0)
        fit.begin()
        for _ in range(100):
            fit.step()
        quality.append(fit.probe([0, 1, 2, 3, 4]))
    assert quality[1:] == pytest.approx([quality[0]] * 2, abs=0.3)


def test_a_scene_in_kilometres_is_measured_as_one_in_metres(one_thread, tmp_path: Path) -> None:
    """Held-out cameras are aligned to it as well, and the same is seen."""
    capture = prepare(load_demo(with_cameras=True).select([0, 1, 2]), 48)
    scene, split = RandomBox(count=800)(capture, torch.Generator().manual_seed(0)), Split([0, 1], [2])
    found = []
    for scale in (1.0, 0.001):
        unit = replace(Similarity.identity(), scale=scale)
        moved, there = scene.transform(unit), capture.transform(unit)
        measured = measure(
            moved, there, split, align=True, antialiased=False, folder=tmp_path, progress=Silent()
        )
        assert measured.unaligned is not None
        assert measured.evaluation.means["psnr"] > measured.unaligned.means["psnr"]
        found.append(measured)
    seen = [one.evaluation.per_photo[0]["seen"] for one in found]
    assert seen[1] == pytest.approx(seen[0], rel=0.05) and seen[0] > 0
    quality = [one.summary["psnr"] for one in found]
    assert quality[1] == pytest.approx(quality[0], abs=0.1)


@pytest.mark.parametrize("extent", [0.1, 1.0, 37.0, 5000.0, 0.0])
def test_ordinary_and_large_scenes_keep_the_rasterisers_near_plane(extent: float) -> None:
    assert near_for(extent) == NEAR
