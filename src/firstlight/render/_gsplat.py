"""The way to gsplat: the same call, for tensors on a CUDA device.

This has been tested only with a stand-in for gsplat: no GPU was at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def cuda_by_gsplat(op: Callable[P, R]) -> Callable[P, R]:
    """``op``, but calls with CUDA tensors go to gsplat's function of the same name, as they are.

    Arguments that the caller leaves out get gsplat's defaults; those that only firstlight has are refused by
    gsplat. ImportError without gsplat; NotImplementedError for devices other than CPU and CUDA.
    """
    name = op.__name__

    @wraps(op)
    def either(*args: P.args, **kwargs: P.kwargs) -> R:
        devices = {v.device.type for v in (*args, *kwargs.values()) if isinstance(v, Tensor)}
        if devices <= {"cpu"}:
            return op(*args, **kwargs)
        if "cuda" in devices:
            result: R = _of_gsplat(name)(*args, **kwargs)
            return result
        raise NotImplementedError(
            f"{name}: tensors are on {', '.join(sorted(devices))}; move them to the CPU"
        )

    return either


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
