"""Parameters and the moments of their optimisers, changed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping

import torch
from torch import Tensor

# Raw Gaussians by name: means [N, 3], scales (log) [N, 3], quats [N, 4], opacities (logit) [N], and any more.
Params = MutableMapping[str, torch.nn.Parameter] | torch.nn.ParameterDict
Optimizers = Mapping[str, torch.optim.Optimizer]  # one for each parameter that is trained, by its name


def rewrite(
    params: Params,
    optimizers: Optimizers,
    values: Callable[[str, Tensor], Tensor],
    moments: Callable[[Tensor], Tensor],
    names: Iterable[str] | None = None,
) -> None:
    """Put ``values(name, old)`` in the place of the named parameters, or of all.

    ``moments(old)`` takes the place of whatever their optimisers keep for each row; what they keep for the
    parameter as a whole (Adam's count of steps, say) stays. Parameters that are not trained need no
    optimiser. ValueError where one that is trained has none.
    """
    for name in list(params.keys() if names is None else names):
        old = params[name]
        new = torch.nn.Parameter(values(name, old.detach()), requires_grad=old.requires_grad)
        if name in optimizers:
            _move(optimizers[name], old, new, moments)
        elif old.requires_grad:
            raise ValueError(f"{name} is trained but has no optimizer, only {', '.join(optimizers)}")
        params[name] = new


def _move(
    optimizer: torch.optim.Optimizer,
    old: torch.nn.Parameter,
    new: torch.nn.Parameter,
    moments: Callable[[Tensor], Tensor],
) -> None:
    kept = optimizer.state.pop(old, {})
    for key, value in kept.items():
        if isinstance(value, Tensor) and value.dim() > 0 and len(value) == len(old):
            kept[key] = moments(value)
    for group in optimizer.param_groups:
        group["params"] = [new]
    optimizer.state[new] = kept


def with_zeros(rows: Tensor, count: int) -> Tensor:
    """``rows`` [N, ...], then ``count`` of zeros."""
    return torch.cat([rows, rows.new_zeros(count, *rows.shape[1:])])
