"""No density control: the Gaussians that a start made are all there will be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from firstlight.density.strategy import Refinement, State, Trainable


@dataclass(frozen=True)
class Fixed:
    """Leaves the number and the identity of Gaussians alone."""

    def initialize(self, count: int) -> State:
        return {}

    def observe(self, state: State, meta: dict[str, Any]) -> None:
        pass

    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        return None
