"""The first exp of a process must be as exact as the second."""

from __future__ import annotations

import torch

# What torch leaves to MKL's vector functions.
NAMES = (
    "acos", "asin", "atan", "cos", "erf", "erfc", "erfinv", "exp", "expm1", "log", "log10", "log1p", "log2",
    "sin", "sqrt", "tan", "tanh",
)  # fmt: skip


def settle() -> None:
    """Call each of MKL's vector functions once, on one thread.

    MKL chooses the code of such a function when it is first called. Where two threads are the first to call
    it, one of them may run a coarser version for its share of that one call (pytorch issue 188792). Then,
    rarely and on a busy computer only, a fit was not the same bit for bit as the last one.
    """
    for dtype in (torch.float32, torch.float64):
        one = torch.full((1,), 0.5, dtype=dtype)
        for name in NAMES:
            getattr(torch, name)(one)
