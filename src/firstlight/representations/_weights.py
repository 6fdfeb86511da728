"""How the networks of a representation begin."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from firstlight.weights import lsuv_

Weights = Literal["lsuv", "torch-calm", "torch"]  # calm: the last layer says little at first, as with LSUV


def begin_(module: nn.Module, weights: Weights, generator: torch.Generator, *inputs: Any) -> None:
    """Fill ``module``, which is called with ``inputs``, by LSUV, or as torch does; ``generator`` decides."""
    if weights == "lsuv":
        lsuv_(module, *inputs, generator=generator)
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.Conv2d):
                part.reset_parameters()
