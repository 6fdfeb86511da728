"""The way to gsplat: the same call, for tensors on a CUDA device.

This has been tested only with a stand-in for gsplat: no GPU was at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def cuda_by_gsplat(op: Callable[P, R]) -> Callable[P, R]:
    """``op``, but calls with CUDA tensors go to gsplat's function of the same name, as they are.

    Here as there, a number may be given as a tensor without dimensions.

    Arguments that the caller leaves out get gsplat's defaults; those that only firstlight has are refused by
    gsplat. Our kinds of shutters and lenses become gsplat's. ImportError without gsplat; NotImplementedError
    for devices other than CPU and CUDA.
    """
    name = op.__name__

    @wraps(op)
    def either(*args: P.args, **kwargs: P.kwargs) -> R:
        devices = {v.device.type for v in (*args, *kwargs.values()) if isinstance(v, Tensor)}
        if devices <= {"cpu"}:
            here: Callable[..., R] = op
            return here(
                *(_number(value) for value in args),
                **{key: _number(value) for key, value in kwargs.items()},
            )
        if "cuda" in devices:
            function = _of_gsplat(name)
            result: R = function(
                *(_gsplats(value) for value in args),
                **{key: _gsplats(value) for key, value in kwargs.items()},
            )
            return result
        raise NotImplementedError(
            f"{name}: tensors are on {', '.join(sorted(devices))}; move them to the CPU"
        )

    return either


def _number(value: Any) -> Any:
    """A tensor without dimensions as the number that it holds; all else as it is."""
    return value.item() if isinstance(value, Tensor) and value.dim() == 0 else value


def _of_gsplat(name: str) -> Callable[..., Any]:
    try:
        gsplat = import_module("gsplat")
    except ModuleNotFoundError as error:
        if error.name != "gsplat":
            raise  # it is there, and something that it needs is not: its own message says what
        raise ImportError(
            f"{name}: tensors are on CUDA, where gsplat does the work, and gsplat is not installed. "
            "Install it (pip install gsplat), or move the tensors to the CPU."
        ) from error
    if not hasattr(gsplat, name):
        version = getattr(gsplat, "__version__", "of unknown version")
        raise NotImplementedError(
            f"{name}: gsplat {version} has no such function; move the tensors to the CPU"
        )
    function: Callable[..., Any] = getattr(gsplat, name)
    return function


def _gsplats(value: Any) -> Any:
    """gsplat's own object for one of ours of the same name (``_unscented_types``); all else as it is."""
    if not type(value).__module__.startswith("firstlight."):
        return value
    own = getattr(import_module("gsplat.cuda._wrapper"), type(value).__name__)
    if isinstance(value, Enum):
        return own[value.name]
    assert is_dataclass(value)
    return own(**{field.name: _gsplats(getattr(value, field.name)) for field in fields(value)})
