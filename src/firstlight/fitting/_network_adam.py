"""Adam for what all Gaussians share: the weights of networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class NetworkAdam:
    """Adam (Kingma and Ba 2015) for tensors by name, all stepped at once at one rate.

    A tensor whose gradient is missing or not finite is left alone in that step.
    """

    def __init__(self, params: Mapping[str, Tensor]) -> None:
        self.params = dict(params)
        self.steps = 0
        self._first = {name: torch.zeros_like(p, requires_grad=False) for name, p in self.params.items()}
        self._second = {name: torch.zeros_like(p, requires_grad=False) for name, p in self.params.items()}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update from the gradients of ``params``."""
        self.steps += 1
        for name, param in self.params.items():
            gradient = param.grad
            if gradient is None or not gradient.isfinite().all():
                continue
            first = self._first[name].mul_(BETA1).add_(gradient, alpha=1 - BETA1)
            second = self._second[name].mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            length = (second / (1 - BETA2**self.steps)).sqrt_().add_(EPSILON)
            param.addcdiv_(first, length, value=-rate / (1 - BETA1**self.steps))

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, apart from the parameters; tensors by name, not copied."""
        stores = {"first": self._first, "second": self._second}
        state = {f"{kind}.{name}": tensor for kind, store in stores.items() for name, tensor in store.items()}
        return state | {"steps": torch.tensor(self.steps)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of ``state``. ValueError where it does not fit ``params``."""
        for kind, store in (("first", self._first), ("second", self._second)):
            for name, tensor in store.items():
                found = state.get(f"{kind}.{name}")
                if found is None or found.shape != tensor.shape:
                    raise ValueError(f"the state's {kind}.{name} does not fit {list(tensor.shape)}")
                store[name] = found.clone()
        self.steps = int(state["steps"])
