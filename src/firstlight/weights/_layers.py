"""Which parts of a network have weights to fill."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
Weighted = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def layers(module: nn.Module) -> Iterator[Weighted]:
    """Linear and convolution layers of ``module``, each once, in the order in which they were registered."""
    for layer in module.modules():
        if isinstance(layer, WEIGHTED):
            yield layer


def fan_in(layer: Weighted) -> int:
    """How many inputs each output sums; 1 where it sums none, for something to divide by."""
    return max(1, math.prod(layer.weight.shape[1:]))
