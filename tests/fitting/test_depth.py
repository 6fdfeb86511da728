"""Losses on depth, and the end that depth decides."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from firstlight.capture import load_demo
from firstlight.density import Fixed
from firstlight.fitting import (
    DepthCorrelation,
    DepthRegularisation,
    DepthStop,
    Fit,
    Recipe,
    View,
    fit_gaussians,
)
from firstlight.pipeline import prepare
from firstlight.scene import Capture, Split
from firstlight.starts import RandomBox
from tests.fitting.sheets import CAMERA, seen, sheet, view_of


@pytest.fixture(scope="module")
def view() -> View:
    rendered = seen(sheet(), CAMERA)
    view = view_of(sheet(), (255 * rendered.rgb.clamp(0, 1)).round().byte(), None)
    return replace(view, measured_depth=rendered.depth)


def with_known(view: View, known: Tensor | None) -> View:
    return replace(view, measured_depth=known, generator=torch.Generator().manual_seed(0))


def test_right_depth_costs_only_its_own_roughness(view: View) -> None:
    assert view.measured_depth is not None
    right = float(DepthRegularisation(1.0, 0.0)(view))
    wrong = float(DepthRegularisation(1.0, 0.0)(with_known(view, 1.1 * view.measured_depth)))
    assert right < 1e-6 and wrong == pytest.approx(0.1 / 1.1, rel=0.05)
    rough = float(DepthRegularisation(0.0, 1.0)(view))
    assert 0 < rough < 1e-3
    assert DepthRegularisation(0.0, 1.0)(with_known(view, None)) == rough, "smoothness needs no known depth"
    assert DepthRegularisation()(replace(view, depth=None)) == 0


def test_boxes_see_what_the_whole_picture_hides(view: View) -> None:
    known = view.measured_depth
    assert known is not None
    scaled = with_known(view, 0.3 * known + (known > 0) * 0.7)
    assert float(DepthCorrelation(1.0, 1.0)(scaled)) < 0.01
    # Far and near swapped within small boxes, on a slope over the whole picture that stays.
    ramp = torch.arange(known.shape[1]).expand(known.shape) / 8.0 + 1
    ripple = torch.arange(known.shape[1]).expand(known.shape) % 8 / 8.0
    rippled = replace(view, depth=ramp + ripple, generator=torch.Generator().manual_seed(0))
    rippled = with_known(rippled, ramp - ripple)
    whole, boxes = (float(DepthCorrelation(*w, box=0.15)(rippled)) for w in ((1.0, 0.0), (0.0, 1.0)))
    assert boxes > 3 * whole
    assert DepthCorrelation()(with_known(view, None)) == 0


def test_it_is_over_where_depth_gets_worse() -> None:
    stop, state = DepthStop(), {}  # type: ignore[var-annotated]
    values = [1 - 0.001 * step for step in range(300)] + [0.7 + 0.001 * step for step in range(200)]
    for step, value in enumerate(values, 1):
        stop.observe(state, torch.tensor(value), step, 500)
        if state.get("over"):
            break
    assert step == 350, "the first look after the turn, every 50 steps"
    state = {}
    for step in range(1, 500):
        stop.observe(state, torch.tensor(1 - 0.001 * step), step, 500)
    assert "over" not in state


def leaving(capture: Capture, split: Split) -> Capture:
    """``capture`` with depths in which what is drawn cannot end."""
    photos = list(capture.photos)
    for index in split.train:
        wall = np.full((photos[index].height, photos[index].width), 1e3, np.float32)
        photos[index] = replace(photos[index], depth=partial(np.copy, wall))
    return replace(capture, photos=photos)


def test_a_fit_ends_there_and_stays_ended(tmp_path: Path) -> None:
    capture = prepare(load_demo(with_cameras=True).select(range(3)), 48)
    split = Split([0, 1, 2], [])
    # Depth that shrinks away from a far wall from the first step on: each comparison is worse than the last.
    capture = leaving(capture, split)
    start = RandomBox(count=300)
    recipe = Recipe(
        "stopping", "", start=start, density=Fixed(), steps=400, stop=DepthStop(start=0, new=1e-3)
    )
    fit = Fit(capture, recipe, split.train, seed=0)
    fit.begin()
    fit.stopping = {"average": torch.tensor(0.0).double(), "compared": torch.tensor(0.0).double()}
    while not fit.over:
        fit.step()
    assert fit.done == 50
    again = Fit(capture, recipe, split.train, seed=0)
    again.restore(fit.done, fit.state())
    assert again.over
    ended = fit_gaussians(capture, replace(recipe, stop=None, steps=60), split, folder=tmp_path)
    assert ended.complete and ended.step == 60
