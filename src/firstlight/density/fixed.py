"""No density control: the Gaussians that a start made are all there will be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from firstlight.density.strategy import Refinement, State, Trainable
from firstlight.scene import Gaussians


@dataclass(frozen=True)
class Fixed:
    """Leaves the number and the identity of Gaussians alone."""

    def limited(self, most: int) -> Fixed:
        return self  # the start is thinned out; there is no growth

    def initialize(self, count: int) -> State:
        return {}

    def observe(self, state: State, meta: dict[str, Any], gaussians: Gaussians) -> None:
        pass

    def refine(self, trainable: Trainable, state: State, context: Refinement) -> str | None:
        return None
