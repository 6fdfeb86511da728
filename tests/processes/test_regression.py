"""Gaussian process regression against the textbook's formulas."""

from __future__ import annotations

import pytest
import torch

from firstlight.processes import GpRegression
from firstlight.processes._regression import LogDensity

pytest.importorskip("gpytorch", reason="gpytorch is not installed")


def data() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.linspace(0, 1, 25, dtype=torch.float64)[:, None]
    return x, torch.cat([torch.sin(6 * x), 100 + 10 * x], -1)


def test_it_interpolates_and_is_unsure_far_away() -> None:
    x, y = data()
    between, outside = torch.tensor([[0.31], [0.77]]), torch.tensor([[4.0]])
    near = GpRegression(nu=2.5, steps=150)(x, y, between)
    expected = torch.cat([torch.sin(6 * between), 100 + 10 * between], -1).double()
    assert (near.mean - expected).abs().max() < 0.15
    far = GpRegression(nu=2.5, steps=150)(x, y, outside)
    assert (far.variance[0] > 10 * near.variance.max(0).values).all()


def test_the_prediction_is_that_of_the_formula() -> None:
    """With no steps the hyperparameters are gpytorch's first ones: softplus(0) each, noise a little more."""
    x, y = data()
    found = GpRegression(nu=0.5, steps=0)(x, y, torch.tensor([[0.4]]))
    scale = length = torch.nn.functional.softplus(torch.zeros((), dtype=torch.float64))
    noise = scale + 1e-4

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return scale * torch.exp(-torch.cdist(a, b) / length)

    asked = torch.tensor([[0.4]], dtype=torch.float64)
    gain = kernel(asked, x) @ torch.linalg.inv(kernel(x, x) + noise * torch.eye(25, dtype=torch.float64))
    low, reach = y.amin(0), y.amax(0) - y.amin(0)
    assert torch.allclose(
        found.mean, low + reach * (gain @ ((y - low) / reach)), atol=1e-3 * float(reach.max())
    )
    variance = kernel(asked, asked) - gain @ kernel(x, asked)
    assert torch.allclose(found.variance / reach**2, variance.expand(1, 2), atol=1e-3)


def test_the_log_density_and_its_gradient() -> None:
    """Against torch's own distribution, whose gradient goes back through the factorisation."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(3, 9, 9, dtype=torch.float64, generator=generator).requires_grad_()
    residual = torch.randn(3, 9, dtype=torch.float64, generator=generator).requires_grad_()
    up = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    covariance = root @ root.mT + torch.eye(9, dtype=torch.float64)
    ours: torch.Tensor = LogDensity.apply(covariance, residual)  # type: ignore[no-untyped-call]
    normal = torch.distributions.MultivariateNormal(torch.zeros(9, dtype=torch.float64), covariance)
    theirs: torch.Tensor = normal.log_prob(residual)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    found, expected = (
        torch.autograd.grad(values @ up, (root, residual), retain_graph=True) for values in (ours, theirs)
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_the_same_twice() -> None:
    x, y = data()
    one, two = (GpRegression(steps=20)(x, y, x[:3] + 0.01) for _ in range(2))
    assert torch.equal(one.mean, two.mean) and torch.equal(one.variance, two.variance)
    with pytest.raises(ValueError, match="two points"):
        GpRegression()(x[:1], y[:1], x)


def test_many_places_are_asked_in_blocks_with_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpytorch.kernels import MaternKernel

    x, y = data()
    asked = torch.linspace(-0.2, 1.2, 1100, dtype=torch.float64)[:, None]
    sizes, forward = [], MaternKernel.forward

    def noting(kernel, one, other, **rest):
        sizes.append(one.shape[-2] * other.shape[-2])
        return forward(kernel, one, other, **rest)

    monkeypatch.setattr(MaternKernel, "forward", noting)
    whole = GpRegression(steps=5)(x, y, asked)
    assert 0 < max(sizes) < len(asked) ** 2 / 3
    parts = [GpRegression(steps=5)(x, y, part) for part in torch.split(asked, 100)]
    assert torch.allclose(whole.mean, torch.cat([part.mean for part in parts]), atol=1e-10)
    assert torch.allclose(whole.variance, torch.cat([part.variance for part in parts]), atol=1e-10)
    assert GpRegression(steps=0)(x, y, asked[:0]).mean.shape == (0, 2)


def test_it_learns_where_gradients_are_off_and_is_asked_at_its_own_points() -> None:
    x, y = data()
    with torch.no_grad():
        found = GpRegression(steps=20)(x, y, x)  # a warning would be an error
    assert torch.equal(found.mean, GpRegression(steps=20)(x, y, x).mean)


def test_what_does_not_fit_is_refused() -> None:
    x, y = data()
    for shapes in ((x[:, 0], y, x), (x, y[:, 0], x), (x, y[1:], x), (x, y, y), (x, y, x[:, 0])):
        with pytest.raises(ValueError, match=r"expected inputs \[P, D\]"):
            GpRegression()(*shapes)
    for numbers in ((x * torch.nan, y, x), (x, y / 0, x), (x, y, x * torch.nan)):
        with pytest.raises(ValueError, match="finite"):
            GpRegression()(*numbers)
