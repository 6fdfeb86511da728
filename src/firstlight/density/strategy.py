"""What a density strategy is asked, and what it may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from firstlight.scene import KEEP_FROM, Gaussians, unit_of

# Everything about a strategy that changes during a fit. It goes into checkpoints, so nothing that matters
# may live elsewhere. Rows, where it has any, are those of the Gaussians.
State = dict[str, Tensor]

PAPER_STEPS = 30_000  # what the constants of 3DGS and its followers are written for
MIN_EVERY = 50  # steps between refinements: enough views to judge a Gaussian by


class Trainable(Protocol):
    """Gaussians under optimisation. Rows and their moments move together."""

    @property
    def gaussians(self) -> Gaussians:
        """Leaf tensors: read them without gradients, change them only through the methods below."""

    def rebuild(self, keep: Tensor, new: Gaussians | None = None) -> None:
        """Keep the rows ``keep`` [M], in that order and with their moments, then ``new`` with none."""

    def assign(self, rows: Tensor, values: dict[str, Tensor], forget: bool = True) -> None:
        """Overwrite ``rows`` [M] of the named attributes; ``forget`` zeroes the moments of just these."""


class Look(NamedTuple):
    """One training photo beside what is rendered of it, without gradients."""

    rendered: Tensor  # [H, W, 3], as the photo's camera exposed it
    photo: Tensor  # [H, W, 3] uint8
    mask: Tensor | None  # [H, W] uint8, 255 = keep
    meta: dict[str, Any]  # what the rasteriser returned, one camera, not packed

    @property
    def error(self) -> Tensor:
        """Mean absolute difference of the channels [H, W]; 0 where the mask says to ignore."""
        return self.kept((self.rendered - self.photo / 255).abs().mean(-1))

    @property
    def mean_error(self) -> float:
        """Mean of ``error`` over the pixels that are not ignored; 0 where all are."""
        counted = self.kept(torch.ones_like(self.rendered[..., 0])).sum()
        return float(self.error.sum() / counted.clamp(min=1))

    def kept(self, values: Tensor) -> Tensor:
        """``values`` [H, W], 0 where the mask says to ignore."""
        return values if self.mask is None else values * (self.mask >= KEEP_FROM)


class Views(Protocol):
    """The training photos, to judge Gaussians by."""

    def __len__(self) -> int: ...

    def look(self, place: int, keep: Tensor | None = None) -> Look:
        """The training photo at ``place`` at the size of this step, rendered now.

        With ``keep`` [N] bool only those Gaussians are in the picture; the notes still have N rows.
        """


@dataclass(frozen=True)
class Refinement:
    """Where the fit stands when a strategy is called."""

    step: int  # optimiser steps done
    steps: int  # in all
    extent: float  # size of the scene, above 0: ``Cameras.extent`` of the training views where they are apart
    means_rate: float  # present learning rate of the means, scene units
    white_background: bool
    generator: torch.Generator  # the only source of randomness
    views: Views  # each look costs a rendering

    @property
    def unit(self) -> float:
        """What lengths that papers give in no unit of their own are counted in."""
        return unit_of(self.extent)

    def some_views(self, count: int) -> list[int]:
        """Places of at most ``count`` training photos, drawn at random."""
        return torch.randperm(len(self.views), generator=self.generator)[:count].tolist()


class Strategy(Protocol):
    """Plain settings (a frozen dataclass in a ``Recipe``) and what to do with them."""

    def limited(self, most: int) -> Strategy:
        """The same settings with a budget of ``most`` Gaussians."""

    def initialize(self, count: int) -> State:
        """The state before the first step, for ``count`` Gaussians."""

    def observe(self, state: State, meta: dict[str, Any], gaussians: Gaussians) -> None:
        """After backward, before the optimiser: ``meta`` is what the rasteriser returned.

        Read from it: radii [C, N, 2], means2d [C, N, 2] with ``.grad``, width, height. The tensors of
        ``gaussians`` hold their gradients.
        """

    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        """After the optimiser's step. Returns a word about what was done, None for nothing of note."""


def scaled(constant: int, steps: int) -> int:
    """A step count of the papers' 30,000 in a fit of ``steps``."""
    return round(constant * steps / PAPER_STEPS)


def interval(constant: int, steps: int) -> int:
    """Steps between refinements that the papers make every ``constant`` of 30,000."""
    return max(MIN_EVERY, scaled(constant, steps))


def due(context: Refinement, start: int, stop: int, every: int) -> bool:
    """Whether to refine now, with constants of the papers' 30,000 steps (both ends exclusive)."""
    inside = scaled(start, context.steps) < context.step < scaled(stop, context.steps)
    return inside and context.step % interval(every, context.steps) == 0


def occasions(start: int, stop: int, every: int, steps: int) -> list[int]:
    """All steps of a fit of ``steps`` at which ``due`` says yes."""
    between = interval(every, steps)
    return [s for s in range(between, scaled(stop, steps), between) if s > scaled(start, steps)]


def logit(probability: float) -> float:
    return float(torch.logit(torch.tensor(probability, dtype=torch.float64)))
