"""Weights for any activation (VI3NR: Variance Informed Initialization, Koneputugodage et al. 2025)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from firstlight.weights._layers import fan_in, layers

Activation = Callable[[Tensor], Tensor]

REACH, NODES = 10.0, 4001  # of the integral over a standard normal, which a sum does exactly enough
SMALLEST, LARGEST, TRIED = 1e-3, 10.0, 1000  # standard deviations that are tried
ALIKE = 1e-3  # as good as the best, backwards


def vi3nr_gain(activation: Activation, sigma: float = 1.0) -> float:
    """The gain that keeps the standard deviation ``sigma`` of what enters an element-wise ``activation``.

    gain² = σ² / E[f(σz)²] for standard normal z; weights have the variance gain² / fan-in. ``activation`` is
    called with float64. ValueError where it passes nothing on.
    """
    z, density = _normal()
    power = float((activation(sigma * z).square() * density).sum())
    if not 0 < power < math.inf:
        raise ValueError(f"no gain keeps a standard deviation of {sigma:g} through {_name(activation)}")
    return float(sigma / power**0.5)


def vi3nr_sigma(activation: Activation) -> float:
    """The standard deviation before ``activation`` at which gradients keep theirs, too.

    The one of [1e-3, 10] that brings σ² E[f′(σz)²] / E[f(σz)²] nearest to 1; where many do (a ReLU's is 1 for
    all), that nearest to 1. ``activation`` is called with float64. ValueError where it passes nothing on.
    """
    z, density = _normal()
    sigmas = torch.logspace(math.log10(SMALLEST), math.log10(LARGEST), TRIED, dtype=torch.float64)
    off = torch.stack([(_backward(activation, sigma, z, density) - 1).abs() for sigma in sigmas])
    off = off.nan_to_num(nan=math.inf, posinf=math.inf)  # 0 / 0, where all that enters falls into a dead zone
    if not off.isfinite().any():
        raise ValueError(f"no standard deviation keeps that of gradients through {_name(activation)}")
    good = off <= off.min() + ALIKE
    # Among neighbours of one optimum the middle one, not the one nearest to 1, is the optimum.
    return float(sigmas[off.argmin()] if good.sum() < TRIED / 10 else _nearest_one(sigmas[good]))


@torch.no_grad()
def vi3nr_(
    module: nn.Module,
    activation: Activation,
    sigma: float | None = None,
    data: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> None:
    """Fill the linear and convolution layers of a network that has ``activation`` after each but the last.

    Weights are normal with variance gain² / fan-in and biases 0. sigma: the standard deviation of what enters
    activations; None: ``vi3nr_sigma``. data: a batch of inputs, whose mean square says how the layer that was
    registered first is to be scaled; without it, or where it is 0, it is taken to be 1.
    """
    sigma = vi3nr_sigma(activation) if sigma is None else sigma
    power = 1.0 if data is None else float(data.double().square().mean())
    gain = sigma / (power or 1.0) ** 0.5
    for layer in layers(module):
        layer.weight.normal_(0, gain / fan_in(layer) ** 0.5, generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
        gain = vi3nr_gain(activation, sigma)


def _normal() -> tuple[Tensor, Tensor]:
    """Places, and the share of a standard normal at each, float64."""
    z = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)
    density = torch.exp(-z.square() / 2)
    return z, density / density.sum()


def _backward(activation: Activation, sigma: Tensor, z: Tensor, density: Tensor) -> Tensor:
    """How the variance of gradients changes in a layer that keeps that of signals."""
    with torch.enable_grad():
        entering = (sigma * z).requires_grad_()
        leaving = activation(entering.clone())  # for it may write into what it is given
        (slope,) = torch.autograd.grad(leaving.sum(), entering)
    ratio: Tensor = sigma**2 * (slope.square() * density).sum() / (leaving.detach().square() * density).sum()
    return ratio


def _name(activation: Activation) -> str:
    return getattr(activation, "__name__", str(activation))


def _nearest_one(sigmas: Tensor) -> Tensor:
    return sigmas[sigmas.log().abs().argmin()]
