"""Adam for what belongs to single photos: one row is stepped at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15


class RowAdam:
    """Adam (Kingma and Ba 2015) for rows [P, ...], each with its own moments and count of steps."""

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32) -> None:
        self._first = torch.zeros(*shape, dtype=dtype)
        self._second = torch.zeros(*shape, dtype=dtype)
        self.steps = torch.zeros(shape[0], dtype=torch.int64)  # [P]

    def step(self, row: int, gradient: Tensor) -> Tensor | None:
        """What to take from row ``row`` [...], times the learning rate.

        None for a gradient that is not finite: it is dropped.
        """
        if not gradient.isfinite().all():
            return None
        self.steps[row] += 1
        t = int(self.steps[row])
        first = self._first[row].mul_(BETA1).add_(gradient, alpha=1 - BETA1)
        second = self._second[row].mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        return first / (second / (1 - BETA2**t)).sqrt_().add_(EPSILON) / (1 - BETA1**t)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, by name; not copied."""
        return {"first": self._first, "second": self._second, "steps": self.steps}


def load(into: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Copy ``state`` into the tensors of the same names. ValueError where it does not fit."""
    for name, tensor in into.items():
        if name not in state or state[name].shape != tensor.shape or state[name].dtype != tensor.dtype:
            raise ValueError(f"the state's {name} does not fit {list(tensor.shape)} {tensor.dtype}")
        tensor.copy_(state[name])
