"""Losses for one object, and for views that were never photographed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from firstlight.fitting import Outlined, Silhouette, WarpedViews
from firstlight.scene import Gaussians
from tests.fitting.sheets import CAMERA, seen, sheet, view_of


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return (255 * seen(sheet(), CAMERA).rgb.clamp(0, 1)).round().byte()


@pytest.fixture(scope="module")
def mask() -> Tensor:
    return (255 * (seen(sheet(), CAMERA).alpha > 0.5)).byte()


def test_what_is_right_costs_next_to_nothing_before_any_background(photo: Tensor, mask: Tensor) -> None:
    right = [float(Outlined()(view_of(sheet(), photo, mask, seed))) for seed in range(4)]
    smaller = replace(sheet(), means=0.8 * sheet().means)
    wrong = [float(Outlined()(view_of(smaller, photo, mask, seed))) for seed in range(4)]
    assert max(right) < 0.05 < 0.1 < min(wrong)
    assert len(set(right)) == 4, "each step has a background of its own"


def test_a_background_of_the_capture_makes_no_difference_to_the_object(photo: Tensor, mask: Tensor) -> None:
    plain = view_of(sheet(), photo, mask, 0)
    white = replace(
        view_of(sheet(), photo, mask, 0),
        rendered=plain.rendered + (1 - plain.alpha[..., None]),
        background=torch.ones(3),
    )
    torch.testing.assert_close(Outlined()(white), Outlined()(plain))


def test_silhouette_is_the_share_of_pixels_that_are_wrong(photo: Tensor, mask: Tensor) -> None:
    view = view_of(sheet(), photo, mask)
    half = mask.clone()
    half[: len(half) // 2] = 0
    more = Silhouette(1.0)(view_of(sheet(), photo, half)) - Silhouette(1.0)(view)
    gone = ((mask > 0) & (half == 0)).float()
    expected = ((2 * view.alpha - 1) * gone).mean()
    torch.testing.assert_close(more, expected)
    assert Silhouette()(view_of(sheet(), photo, None)) == 0


def over_seeds(term: WarpedViews, gaussians: Gaussians, photo: Tensor, mask: Tensor) -> float:
    return sum(float(term(view_of(gaussians, photo, mask, seed))) for seed in range(4)) / 4


def test_a_photo_that_the_geometry_explains_costs_little_from_the_side(photo: Tensor, mask: Tensor) -> None:
    term = WarpedViews(depth=0.0, colour=1.0)
    right = over_seeds(term, sheet(), photo, mask)
    shifted = over_seeds(term, sheet(), photo.roll(4, dims=1), mask)
    assert right < 0.06 < 0.1 < shifted


def test_depth_is_compared_from_elsewhere_up_to_another_surface(photo: Tensor, mask: Tensor) -> None:
    term, view = WarpedViews(depth=1.0, colour=0.0), view_of(sheet(), photo, mask)
    assert view.depth is not None
    assert float(term(view)) < 0.006
    # The camera turns about the depth that it is told, so only a part of the difference is to be seen.
    nearer, far = (replace(view_of(sheet(), photo, mask), depth=view.depth * s) for s in (0.95, 3.0))
    assert 0.03 < float(term(nearer)) < 0.08
    torch.testing.assert_close(float(term(far)), term.largest, rtol=1e-3, atol=0)


def test_early_steps_and_empty_pictures_cost_nothing(photo: Tensor, mask: Tensor) -> None:
    view = view_of(sheet(), photo, mask)
    assert WarpedViews()(replace(view, fraction=0.1)) == 0
    assert WarpedViews()(replace(view, depth=None)) == 0
    assert WarpedViews()(replace(view, mask=torch.zeros_like(mask))) == 0


def test_gradients_reach_the_gaussians(photo: Tensor, mask: Tensor) -> None:
    gaussians = sheet()
    gaussians.means = (
        gaussians.means + 0.02 * torch.randn(1600, 3, generator=torch.Generator().manual_seed(1))
    ).requires_grad_()
    loss = WarpedViews()(view_of(gaussians, photo, mask))
    loss.backward()  # type: ignore[no-untyped-call]
    assert gaussians.means.grad is not None
    assert gaussians.means.grad.isfinite().all() and gaussians.means.grad.norm() > 0
