"""Gaussians under optimisation, with their moments."""

from __future__ import annotations

import torch
from torch import Tensor

from firstlight.fitting._adam import VisibleAdam
from firstlight.scene import Gaussians


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries of ``state`` below ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


class Model:
    """What density strategies see as ``Trainable``: rows and their Adam moments always move together."""

    def __init__(self, gaussians: Gaussians) -> None:
        self._become(gaussians)
        self.rebuilt = 0  # how often rows came or went
        self.optimizer = VisibleAdam(self.gaussians.tensors())

    def _become(self, gaussians: Gaussians) -> None:
        leaves = (tensor.detach().float().contiguous().requires_grad_() for tensor in gaussians)
        self.gaussians = Gaussians(*leaves)

    def __len__(self) -> int:
        return len(self.gaussians)

    def zero_grad(self) -> None:
        for tensor in self.gaussians:
            tensor.grad = None

    def step(self, visible: Tensor, rates: dict[str, float]) -> None:
        """One Adam step of the rows where ``visible`` [N] is set."""
        self.optimizer.step(visible, rates)

    @torch.no_grad()
    def rebuild(self, keep: Tensor, new: Gaussians | None = None) -> None:
        """The rows ``keep`` [M] in that order with their moments, then ``new`` with none."""
        self.rebuilt += 1
        kept = self.gaussians.select(keep)
        self._become(kept if new is None else kept.append(new))
        self.optimizer.select(keep)
        if new is not None:
            self.optimizer.append(len(new))
        self.optimizer.params = self.gaussians.tensors()

    @torch.no_grad()
    def assign(self, rows: Tensor, values: dict[str, Tensor], forget: bool = True) -> None:
        """Overwrite ``rows`` of the named attributes; with ``forget`` their moments start anew."""
        tensors = self.gaussians.tensors()
        for name, value in values.items():
            tensors[name][rows] = value
        if forget:
            self.optimizer.reset(rows, list(values))

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, by name."""
        rows = {f"gaussians.{name}": tensor.detach() for name, tensor in self.gaussians.tensors().items()}
        return rows | {f"adam.{name}": tensor for name, tensor in self.optimizer.state().items()}

    @staticmethod
    def restore(state: dict[str, Tensor]) -> Model:
        """The inverse of ``state``."""
        model = Model(Gaussians(**under("gaussians.", state)))
        model.optimizer.load(under("adam.", state))
        return model
