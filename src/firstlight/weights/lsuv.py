"""Layer-sequential unit variance (Mishkin and Matas 2016, "All you need is a good init")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from firstlight.weights._layers import WEIGHTED, Weighted
from firstlight.weights.orthogonal import orthogonal_

DEAD = 1e-5  # spread over the largest output below which it is only rounding


@torch.no_grad()
def lsuv_(
    module: nn.Module,
    *inputs: Any,
    std: float = 1.0,
    tolerance: float = 0.1,
    tries: int = 10,
    center: bool = False,
    generator: torch.Generator | None = None,
    run: Callable[..., Any] | None = None,
) -> list[str]:
    """Orthogonal weights, then each layer scaled until its outputs have the standard deviation ``std``.

    inputs: one batch, as ``module`` is called with; ``run`` is called in its place where given. Layers are
    scaled in the order in which the batch reaches them, one that it reaches twice by its first output; those
    that it does not reach stay orthogonal. With ``center`` each channel's bias takes the mean of its outputs
    away, where there is a bias: without it, inputs that are all of one sign leave a ReLU's units always on or
    always off. Buffers (running averages of normalisations) and the mode
    (training or not) are left as they were. Returns the names of dead layers, whose outputs do not vary
    whatever the scale. ValueError for a layer with outputs that are not finite, or with fewer than two.
    """
    orthogonal_(module, generator=generator)
    modes = {part: part.training for part in module.modules()}
    module.eval()
    run = run or module
    try:
        dead = []
        for name, layer in _in_order(module, run, inputs):
            for _ in range(tries):
                output = _first_output(layer, run, inputs)
                if output.numel() < 2 or not output.isfinite().all():
                    raise ValueError(f"expected two or more finite outputs of layer {name!r} from this batch")
                level = _level(layer, output)
                if center and layer.bias is not None:
                    mean = output.transpose(0, _channels(layer)).flatten(1).mean(1)
                    layer.bias.sub_(mean)
                    output = _first_output(layer, run, inputs)
                spread = float(output.std())
                if not spread > DEAD * level:
                    dead.append(name)
                    break
                if abs(spread / std - 1) <= tolerance:
                    break
                layer.weight.mul_(std / spread)
                if layer.bias is not None:
                    layer.bias.mul_(std / spread)
        return dead
    finally:
        for part, training in modes.items():
            part.training = training


def _in_order(module: nn.Module, run: Callable[..., Any], inputs: Any) -> list[tuple[str, Weighted]]:
    """Layers with their names as the batch comes to them."""
    seen: dict[str, Weighted] = {}
    hooks = [
        layer.register_forward_hook(_noting(seen, name))
        for name, layer in module.named_modules()
        if isinstance(layer, WEIGHTED)
    ]
    try:
        run(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return list(seen.items())


def _channels(layer: Weighted) -> int:
    """Which dimension of its output counts channels."""
    return -1 if isinstance(layer, nn.Linear) else 1


def _level(layer: Weighted, output: Tensor) -> float:
    """The largest of a layer's outputs in size, without its bias."""
    if layer.bias is None:
        return float(output.abs().max())
    return float((output.transpose(-1, _channels(layer)) - layer.bias).abs().max())


def _noting(seen: dict[str, Weighted], name: str) -> Callable[..., None]:
    def note(layer: Weighted, given: Any, output: Tensor) -> None:
        seen.setdefault(name, layer)

    return note


def _first_output(layer: Weighted, run: Callable[..., Any], inputs: Any) -> Tensor:
    outputs: list[Tensor] = []
    # Copied, for an activation may write into it.
    hook = layer.register_forward_hook(lambda _, given, output: outputs.append(output.clone()))
    try:
        run(*inputs)
    finally:
        hook.remove()
    return outputs[0]
