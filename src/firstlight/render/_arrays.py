"""Between torch tensors and kernels: views without copies, shape checks, and how work is divided."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firstlight.render._errors import ShapeError

Array = npt.NDArray[Any]
NO_FLOATS: Array = np.empty(0, np.float32)


def workers() -> int:
    """How many chunks work is cut into: one for each of Numba's threads.

    Results depend on this number and on nothing else about threads. Torch's number has no say: it changes
    within a process, as Numba sets it anew with its first parallel kernel.
    """
    return int(numba.get_num_threads())


def view(tensor: Tensor, *shape: int) -> Array:
    """The tensor's memory as an array of ``shape``, copied only where it is not contiguous."""
    array: Array = tensor.detach().contiguous().numpy().reshape(shape)
    return array


def empty(*shape: int) -> Tensor:
    """Uninitialised float32 memory, whatever torch's default type of numbers is."""
    return torch.empty(shape, dtype=torch.float32)


def zeros(*shape: int) -> Tensor:
    """float32 zeros, whatever torch's default type of numbers is."""
    return torch.zeros(shape, dtype=torch.float32)


def aligned(*shape: int) -> tuple[Tensor, Array]:
    """Uninitialised float32 memory that starts on a cache line, and its flat array."""
    tensor = empty(*shape)
    return tensor, tensor.view(-1).numpy()


def records_of(rows: int, numbers: int) -> tuple[Tensor, Array]:
    """``aligned`` for a kernel that counts these numbers in 32 bits. ShapeError where there are too many."""
    if rows * numbers >= 2**31:
        raise ShapeError(f"{rows:,} splats times cameras: blending takes at most {2**31 // numbers - 1:,}")
    return aligned(rows, numbers)


def differentiable(rule: type[torch.autograd.Function], *inputs: Any) -> Any:
    """``rule.apply``, which torch leaves untyped."""
    apply: Callable[..., Any] = rule.apply
    return apply(*inputs)


def check_shape(name: str, tensor: Tensor, *shape: int) -> None:
    """ShapeError unless ``tensor`` has this shape; TypeError unless it is float32 on the CPU."""
    if tuple(tensor.shape) != shape:
        raise ShapeError(f"{name}: expected shape {list(shape)}, got {list(tensor.shape)}")
    if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        raise TypeError(f"{name}: expected float32 on the CPU, got {tensor.dtype} on {tensor.device}")


def check_channels(colors: Tensor) -> None:
    """ShapeError where there is nothing to blend."""
    if colors.shape[-1] == 0:
        raise ShapeError("colors: expected one channel or more, got none")


def balanced(starts: Array, parts: int, overhead: int = 16) -> Array:
    """Cut consecutive items into ``parts`` of about equal cost: bounds [parts + 1].

    ``starts`` [items + 1] is the running total of the items' costs; ``overhead`` is what an item costs empty.
    """
    items = len(starts) - 1
    cost = starts.astype(np.int64) + overhead * np.arange(items + 1)
    inner = np.searchsorted(cost, cost[-1] * np.arange(1, parts) / parts)
    return np.concatenate([[0], inner, [items]]).astype(np.int64)
