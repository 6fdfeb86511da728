"""One door to Numba, so that every kernel is compiled with the same options and stays typed."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# No "nnan" or "ninf": kernels cull what is not finite, and those flags would let LLVM drop the tests.
_FAST = {"contract", "arcp", "nsz"}


def kernel(function: Function) -> Function:
    """Compile a kernel whose outer ``prange`` runs over chunks; cached on disk.

    Kernels keep the interpreter lock: two threads that render at once (a fit and a viewer) then take
    turns, which on a few cores costs nothing and keeps every Numba threading layer safe.
    """
    jit = numba.njit(parallel=True, cache=True, fastmath=_FAST, error_model="numpy")
    return cast(Function, jit(function))


def serial_kernel(function: Function) -> Function:
    """Compile a kernel that is called from Python but runs on one thread; cached on disk."""
    return cast(Function, numba.njit(cache=True, fastmath=_FAST, error_model="numpy")(function))


def device(function: Function) -> Function:
    """Compile a helper that only kernels call; it is inlined by LLVM and never cached on its own."""
    return cast(Function, numba.njit(fastmath=_FAST, error_model="numpy", forceinline=True)(function))
