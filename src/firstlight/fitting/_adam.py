"""Adam for Gaussians: only what a photo sees is updated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numba import get_num_threads
from torch import Tensor

from firstlight.fitting import _adam_kernel as kernel


class VisibleAdam:
    """Adam (Kingma and Ba 2015; β 0.9 and 0.999, ε 1e-15) over rows that are visible now and then.

    ``params``: tensors by name, float32, contiguous, on the CPU, all with the same first dimension N: a row
    is a Gaussian. A row that is not visible in a step is not touched, its moments neither: each row is
    optimised exactly as by an Adam that ran only in the steps in which the row was visible, with its own
    count of steps for the bias correction.

    Density control replaces ``params`` and moves the moments along by ``select``, ``append``, ``reset``.
    ``skipped`` counts the row updates that were left out because a gradient was not finite.
    """

    def __init__(self, params: Mapping[str, Tensor]) -> None:
        self.params = dict(params)
        self.skipped = 0
        self._first = {name: torch.zeros_like(p, requires_grad=False) for name, p in self.params.items()}
        self._second = {name: torch.zeros_like(p, requires_grad=False) for name, p in self.params.items()}
        self._steps = {name: torch.zeros(len(p), dtype=torch.int32) for name, p in self.params.items()}
        self._longest = 0  # no row has more steps
        self._tables = _corrections(1024)

    def step(self, visible: Tensor, rates: Mapping[str, float]) -> None:
        """Update the rows where ``visible`` [N] bool is set, from the gradients of ``params``.

        ``rates`` holds a learning rate for each name. For a name NAME of shape [N, K, ...] an entry
        'NAME_rest' is the rate of all but its first entry along K: harmonics above the constant one.
        A row with a gradient that is not finite is left alone, and counted in ``skipped``. ValueError
        where gradient, rate or moments of a name are missing or do not fit.
        """
        self._check(visible, rates)
        self._longest += 1
        if self._longest >= len(self._tables[0]):
            self._tables = _corrections(2 * self._longest)
        skipped = np.zeros(get_num_threads(), np.int64)
        kernel.update(
            tuple(_flat(p.detach()) for p in self.params.values()),
            tuple(_flat(p.grad.contiguous()) for p in self.params.values() if p.grad is not None),
            tuple(_flat(self._first[name]) for name in self.params),
            tuple(_flat(self._second[name]) for name in self.params),
            tuple(self._steps[name].numpy() for name in self.params),
            tuple(_column_rates(name, p, rates) for name, p in self.params.items()),
            visible.contiguous().numpy(),
            *self._tables,
            skipped,
        )
        torch.autograd.graph.increment_version(self.params.values())  # the kernel wrote behind torch's back
        self.skipped += int(skipped.sum())

    def _check(self, visible: Tensor, rates: Mapping[str, float]) -> None:
        for name, param in self.params.items():
            if param.grad is None:
                raise ValueError(f"{name} has no gradient: call backward() before step()")
            if name not in rates:
                raise ValueError(f"no learning rate for {name}, only for {', '.join(rates)}")
            if not param.is_contiguous() or param.dtype != torch.float32:
                raise ValueError(f"{name} must be contiguous float32")
            if name not in self._first or self._first[name].shape != param.shape:
                raise ValueError(f"{name} {list(param.shape)} has no moments of its shape")
            if visible.shape != param.shape[:1] or visible.dtype != torch.bool:
                raise ValueError(
                    f"visible must be [{len(param)}] bool, not {list(visible.shape)} {visible.dtype}"
                )

    def select(self, index: Tensor) -> None:
        """Keep the moments of rows ``index`` in that order.

        Positions [M], repeats allowed, or a mask [N].
        """
        for store in (self._first, self._second, self._steps):
            for name, tensor in store.items():
                store[name] = tensor[index]

    def append(self, count: int) -> None:
        """Add ``count`` rows that have not been stepped yet."""
        for store in (self._first, self._second, self._steps):
            for name, tensor in store.items():
                store[name] = torch.cat([tensor, tensor.new_zeros(count, *tensor.shape[1:])])

    def reset(self, rows: Tensor, names: Iterable[str] | None = None) -> None:
        """Forget what ``rows`` (positions or mask) of the named attributes, or of all, have seen so far."""
        for name in self.params if names is None else names:
            for store in (self._first, self._second, self._steps):
                store[name][rows] = 0

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, apart from the parameters; tensors by name, not copied."""
        stores = {"first": self._first, "second": self._second, "steps": self._steps}
        state = {f"{kind}.{name}": tensor for kind, store in stores.items() for name, tensor in store.items()}
        return state | {"skipped": torch.tensor(self.skipped)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of ``state``. ValueError where it does not fit ``params``."""
        for kind, store in (("first", self._first), ("second", self._second), ("steps", self._steps)):
            for name, tensor in store.items():
                found = state.get(f"{kind}.{name}")
                if found is None or found.shape != tensor.shape or found.dtype != tensor.dtype:
                    raise ValueError(
                        f"the state's {kind}.{name} does not fit {list(tensor.shape)} {tensor.dtype}"
                    )
                store[name] = found.clone()
        self.skipped = int(state["skipped"])
        self._longest = max((int(t.max()) for t in self._steps.values() if len(t)), default=0)


def _corrections(count: int) -> tuple[kernel.Floats, kernel.Floats]:
    """Bias corrections after 0, 1, ... steps: 1 / (1 - β1^t) and 1 / √(1 - β2^t)."""
    t = np.arange(count, dtype=np.float64)
    t[0] = 1  # not used: a row is stepped before it is corrected
    first = 1 / (1 - kernel.BETA1**t)
    second = 1 / np.sqrt(1 - kernel.BETA2**t)
    return first.astype(np.float32), second.astype(np.float32)


def _flat(tensor: Tensor) -> kernel.Floats:
    """The tensor's memory as one long array."""
    values: kernel.Floats = tensor.view(-1).numpy()
    return values


def _column_rates(name: str, param: Tensor, rates: Mapping[str, float]) -> kernel.Floats:
    """The learning rate of each value of a row  # [width]."""
    columns = np.full(param.shape[1:], rates[name], np.float32)
    if f"{name}_rest" in rates:
        columns[1:] = rates[f"{name}_rest"]
    return columns.reshape(-1)
