"""A photo against its other eye."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from firstlight.fitting import Binocular, View
from tests.fitting.sheets import CAMERA, seen, sheet, view_of

TERM = Binocular(1.0, shift=0.1)


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return (255 * seen(sheet(), CAMERA).rgb.clamp(0, 1)).round().byte()


def cost(view: View) -> float:
    """The mean over some shifts."""
    seeds = (torch.Generator().manual_seed(seed) for seed in range(6))
    return sum(float(TERM(replace(view, generator=generator))) for generator in seeds) / 6


def test_right_depth_meets_the_same_colours(photo: Tensor) -> None:
    view = view_of(sheet(), photo, None)
    assert view.depth is not None
    right, wrong = cost(view), cost(replace(view, depth=0.8 * view.depth))
    assert right < 0.003 < 0.015 < wrong


def test_what_is_hidden_from_the_other_eye_counts_for_nothing(photo: Tensor) -> None:
    # A black bar before the sheet, which the photo sees at its own depth.
    bar = sheet(-1.0)
    bar.means = bar.means * torch.tensor([0.15, 1.0, 1.0])
    bar.sh = torch.full_like(bar.sh, -1.7)
    scene = sheet().append(bar)
    both = (255 * seen(scene, CAMERA).rgb.clamp(0, 1)).round().byte()
    masked, unmasked = replace(TERM, agree=0.05), replace(TERM, agree=1.0)
    view = view_of(scene, both, None)
    seeds = range(6)
    costs = [
        sum(float(term(replace(view, generator=torch.Generator().manual_seed(seed)))) for seed in seeds)
        for term in (masked, unmasked)
    ]
    assert costs[0] < 0.7 * costs[1]


def test_gradients_reach_where_things_stand(photo: Tensor) -> None:
    scene = sheet(0.15)
    scene.means.requires_grad_()
    loss = sum((TERM(view_of(scene, photo, None, seed)) for seed in range(6)), torch.zeros(()))
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = scene.means.grad
    assert gradient is not None and gradient.isfinite().all() and gradient.norm() > 0


def test_it_waits_and_needs_something_solid(photo: Tensor) -> None:
    view = view_of(sheet(), photo, None)
    assert TERM(replace(view, fraction=0.1)) == 0
    assert TERM(replace(view, depth=None)) == 0
    assert TERM(replace(view, alpha=0 * view.alpha)) == 0
    assert TERM(replace(view, mask=torch.zeros(view.alpha.shape, dtype=torch.uint8))) == 0
