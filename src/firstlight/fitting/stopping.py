"""When a fit ends before its last step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from firstlight.density.strategy import interval, scaled


@dataclass(frozen=True)
class DepthStop:
    """The end is where rendered depth begins to leave the known depth (DRGS, Chung et al. 2024).

    A running mean of the depth loss takes ``new`` of each step's value. From ``start`` on, of the papers'
    30,000 steps, it is compared every ``every`` with what it was the last time, and the fit ends where it
    rose. Nothing is compared sooner than 50 steps after the last time. Photos without depth never end a fit.
    """

    start: int = 1500
    every: int = 100
    new: float = 0.2

    def observe(self, state: dict[str, Tensor], difference: Tensor, step: int, steps: int) -> None:
        """Note the depth loss after ``step`` of ``steps``; ``state["over"]`` is true once it is the end."""
        value = difference.detach().double()
        before = state.get("average", value)
        state["average"] = (1 - self.new) * before + self.new * value
        if step % interval(self.every, steps) or step < scaled(self.start, steps):
            return
        if "compared" in state and bool(state["average"] > state["compared"]):
            state["over"] = torch.tensor(True)
        state["compared"] = state["average"].clone()
