"""What a fit optimises: plain Gaussians with their moments, or something that Gaussians are decoded from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from firstlight.density import Refinement, Strategy
from firstlight.fitting._adam import VisibleAdam
from firstlight.scene import Capture, Gaussians


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries of ``state`` below ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def leaves(gaussians: Gaussians) -> Gaussians:
    """The same values, cut off from what made them, as tensors that gather gradients."""
    return Gaussians(*(tensor.detach().float().contiguous().requires_grad_() for tensor in gaussians))


class Model(Protocol):
    """What the loop optimises. In each step it calls the methods from top to bottom."""

    rebuilt: int  # how often rows came or went

    @property
    def gaussians(self) -> Gaussians:
        """As they are now: leaf tensors, in which the step's backward pass leaves its gradients."""

    def __len__(self) -> int:
        """How many Gaussians there are."""

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""

    def observe(self, meta: dict[str, Any]) -> None:
        """After backward: ``meta`` is what the rasteriser returned, as ``density.Strategy`` reads it."""

    def step(self, visible: Tensor, rates: dict[str, float]) -> None:
        """One step of the optimiser; ``visible`` [N] bool is in this step's picture, ``rates`` are those of
        ``Rates.at``."""

    def refine(self, now: Refinement) -> str | None:
        """Add, move, remove where it is time to; a word about what was done, None for nothing of note."""

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, by name."""

    def save(self, folder: Path) -> None:
        """Write what the plain scene does not hold beside it; most have no such thing."""


class Representation(Protocol):
    """What a recipe optimises in the place of plain Gaussians: a frozen dataclass, plain data."""

    @property
    def after(self) -> float:
        """Share of the steps in which Gaussians are still plain; 0: they never are."""

    def limited(self, most: int) -> Representation:
        """The same settings with a budget of ``most`` Gaussians."""

    def begin(self, gaussians: Gaussians, capture: Capture, now: Refinement) -> Model:
        """What takes the place of ``gaussians``: the start's, or what became of them until ``after``.

        ``capture`` holds the photos that are trained on, in the order of ``now.views``, with their cameras.
        """

    def restore(self, state: dict[str, Tensor], capture: Capture) -> Model:
        """The model that ``state`` is of."""


class PlainModel:
    """Gaussians themselves: what density strategies see as ``Trainable``. Rows and moments move together."""

    def __init__(self, gaussians: Gaussians, density: Strategy) -> None:
        self.gaussians = leaves(gaussians)
        self.rebuilt = 0
        self.optimizer = VisibleAdam(self.gaussians.tensors())
        self.density = density
        self.noted = density.initialize(len(gaussians))

    def __len__(self) -> int:
        return len(self.gaussians)

    def zero_grad(self) -> None:
        for tensor in self.gaussians:
            tensor.grad = None

    def observe(self, meta: dict[str, Any]) -> None:
        self.density.observe(self.noted, meta, self.gaussians)

    def step(self, visible: Tensor, rates: dict[str, float]) -> None:
        """One Adam step of the rows where ``visible`` [N] is set."""
        self.optimizer.step(visible, rates)

    def refine(self, now: Refinement) -> str | None:
        return self.density.refine(self, self.noted, now)

    @torch.no_grad()
    def rebuild(self, keep: Tensor, new: Gaussians | None = None) -> None:
        """The rows ``keep`` [M] in that order with their moments, then ``new`` with none."""
        self.rebuilt += 1
        kept = self.gaussians.select(keep)
        self.gaussians = leaves(kept if new is None else kept.append(new))
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
        rows = {f"gaussians.{name}": tensor.detach() for name, tensor in self.gaussians.tensors().items()}
        adam = {f"adam.{name}": tensor for name, tensor in self.optimizer.state().items()}
        return rows | adam | {f"density.{name}": tensor for name, tensor in self.noted.items()}

    @staticmethod
    def restore(state: dict[str, Tensor], density: Strategy) -> PlainModel:
        """The inverse of ``state``."""
        model = PlainModel(Gaussians(**under("gaussians.", state)), density)
        model.optimizer.load(under("adam.", state))
        model.noted = under("density.", state)
        return model

    def save(self, folder: Path) -> None:
        pass


class DecodedModel(ABC):
    """Gaussians that are decoded anew after each step from parameters, which alone are optimised.

    The graph is cut at the Gaussians: losses and density control see leaf tensors, like plain ones, and a
    step takes the gradients from there back to the parameters in one pass, however often they were looked
    at. A subclass says what its parameters are, how they decode and how they are stepped.
    """

    def __init__(self) -> None:
        self.rebuilt = 0
        self._decoded: tuple[Gaussians, Gaussians] | None = None  # with the graph, and cut off from it

    @abstractmethod
    def parameters(self) -> dict[str, Tensor]:
        """Leaf tensors by name."""

    @abstractmethod
    def decode(self) -> Gaussians:
        """The Gaussians, differentiable with respect to the parameters."""

    @abstractmethod
    def update(self, visible: Tensor, rates: dict[str, float]) -> None:
        """Step the parameters by their ``grad``, which may be None; ``visible`` [N] is of the Gaussians."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, by name."""

    def changed(self) -> None:
        """To be called when parameters changed in another way than by ``step``."""
        self._decoded = None

    @property
    def gaussians(self) -> Gaussians:
        if self._decoded is None:
            with torch.enable_grad():
                made = self.decode()
            self._decoded = made, leaves(made)
        return self._decoded[1]

    def __len__(self) -> int:
        return len(self.gaussians)

    def zero_grad(self) -> None:
        for tensor in (*self.gaussians, *self.parameters().values()):
            tensor.grad = None

    def observe(self, meta: dict[str, Any]) -> None:  # noqa: B027 (most have nothing to note)
        pass

    def step(self, visible: Tensor, rates: dict[str, float]) -> None:
        """Take the Gaussians' gradients back to the parameters, and step those.

        A number of a gradient that is not finite is dropped: it would spoil what all Gaussians share.
        """
        assert self._decoded is not None, "gaussians were looked at before backward()"
        made, cut = self._decoded
        reached = [
            (m, c.grad) for m, c in zip(made, cut, strict=True) if m.requires_grad and c.grad is not None
        ]
        upstream = [torch.nan_to_num(gradient, 0.0, 0.0, 0.0) for _, gradient in reached]
        torch.autograd.backward([tensor for tensor, _ in reached], upstream)
        self.update(visible, rates)
        self.changed()

    def refine(self, now: Refinement) -> str | None:
        return None

    def save(self, folder: Path) -> None:  # noqa: B027 (most have nothing to write)
        pass
