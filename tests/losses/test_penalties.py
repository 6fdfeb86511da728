"""The regularisers of 3DGS-MCMC."""

import pytest
import torch

from firstlight.losses import opacity_penalty, scale_penalty


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
