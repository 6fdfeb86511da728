"""Orthogonal weights (Saxe et al. 2014): every direction of a signal is passed on at the same strength."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from firstlight.weights._layers import fan_in, layers


@torch.no_grad()
def orthogonal_(module: nn.Module, gain: float = 1.0, generator: torch.Generator | None = None) -> None:
    """Fill each linear and convolution layer with a random (semi-)orthogonal matrix, biases with 0.

    A convolution's weight [out, in, ...] counts as the matrix [out, in · ...]. Its entries have the variance
    gain² / fan-in, tall or wide, so that the mean square of the outputs is gain² times that of the inputs.
    ReLU halves the mean square: a gain of √2 makes up for it. Layers without inputs or outputs have nothing
    to fill.
    """
    for layer in layers(module):
        fill_(layer.weight, gain, fan_in(layer), generator)
        if layer.bias is not None:
            layer.bias.zero_()


def fill_(weight: Tensor, gain: float, inputs: int, generator: torch.Generator | None) -> None:
    """One weight [out, ...]; a tall matrix has orthonormal columns before it is scaled, a wide one rows."""
    nn.init.orthogonal_(weight, generator=generator)
    taller = max(1.0, len(weight) / inputs) ** 0.5
    weight.mul_(gain * taller)
