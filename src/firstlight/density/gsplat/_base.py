"""What gsplat's strategies have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from firstlight.density.gsplat._surgery import Optimizers, Params

NEEDED = ("means", "scales", "quats", "opacities")


@dataclass
class Strategy:
    """Hooks around the backward pass of a training loop. Settings are fields, and may be changed."""

    def check_sanity(self, params: Params, optimizers: Optimizers) -> None:
        """AssertionError unless each trained parameter has an optimiser of its own, and none is missing."""
        # gsplat promises this error, and its callers may expect it: so these are no ValueErrors.
        trained = {name for name, param in params.items() if param.requires_grad}
        if trained != set(optimizers.keys()):
            raise AssertionError(
                f"trained parameters {sorted(trained)} and optimizers {sorted(optimizers.keys())} must be "
                "the same; give each parameter an optimizer of its own"
            )
        for name, optimizer in optimizers.items():
            if len(optimizer.param_groups) != 1:
                raise AssertionError(
                    f"optimizer of {name}: expected one param_group, got {len(optimizer.param_groups)}"
                )
        for name in NEEDED:
            if name not in params:
                raise AssertionError(f"params lack {name}; they have {', '.join(params.keys())}")

    def step_pre_backward(self, *args: Any, **kwargs: Any) -> None:
        """Before ``loss.backward()``."""

    def step_post_backward(self, *args: Any, **kwargs: Any) -> None:
        """After ``loss.backward()``, and after the optimisers' steps."""
