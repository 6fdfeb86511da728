"""The regularisers of 3DGS-MCMC, and the one of needles."""

import math

import pytest
import torch

from firstlight.losses import needle_penalty, opacity_penalty, scale_penalty


def test_opacity_penalty_is_the_mean() -> None:
    opacities = torch.tensor([0.1, 0.5, 0.9], requires_grad=True)
    loss = opacity_penalty(opacities)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(0.5)
    torch.testing.assert_close(opacities.grad, torch.full((3,), 1 / 3))


def test_scale_penalty_is_the_mean() -> None:
    scales = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 6.0]], requires_grad=True)
    loss = scale_penalty(scales)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(2)
    torch.testing.assert_close(scales.grad, torch.full((2, 3), 1 / 6))


def test_needles_cost_what_they_are_longer_than_wide_and_discs_nothing() -> None:
    axes = torch.tensor([[1.0, 12.0, 1.0], [5.0, 5.0, 0.01], [1.0, 2.9, 1.0]], dtype=torch.float64)
    assert needle_penalty(axes.log(), 3.0).item() == pytest.approx(math.log(12 / 3) / 3)
    assert needle_penalty(axes[1:].log(), 3.0) == 0


def test_needles_are_shortened_and_widened() -> None:
    generator = torch.Generator().manual_seed(0)
    log_scales = torch.randn(20, 3, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: needle_penalty(x, 2.0), log_scales)
    (slope,) = torch.autograd.grad(needle_penalty(log_scales, 2.0), log_scales)
    paid = slope.abs().sum(-1) > 0
    assert 3 < paid.sum() < 18
    order = log_scales.detach().argsort(-1)[paid]
    shortest, middle, longest = slope[paid].gather(1, order).unbind(-1)
    assert (shortest == 0).all() and (middle < 0).all() and (longest > 0).all()
