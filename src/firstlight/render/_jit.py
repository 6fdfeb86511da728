"""One door to Numba, so that every kernel is compiled with the same options and stays typed."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# No "nnan" or "ninf": kernels cull what is not finite, and those flags would let LLVM drop the tests.
_FAST = {"contract", "arcp", "nsz"}
# Only prange runs in parallel. What Numba would otherwise make of slices inside chunks doubles the time that
# compiling takes, for loops that are not worth sharing out.
_PARALLEL = {"prange": True} | dict.fromkeys(
    ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False
)


def kernel(function: Function) -> Function:
    """Compile a kernel whose outer ``prange`` runs over chunks; cached on disk.

    Kernels keep the interpreter lock: two threads that render at once (a fit and a viewer) then take
    turns, which on a few cores costs nothing and keeps every Numba threading layer safe.
    """
    jit = numba.njit(
        parallel=_PARALLEL, cache=True, fastmath=_FAST, error_model="numpy", no_cfunc_wrapper=True
    )
    return cast(Function, jit(function))


def serial_kernel(function: Function) -> Function:
    """Compile a kernel that is called from Python but runs on one thread; cached on disk."""
    jit = numba.njit(cache=True, fastmath=_FAST, error_model="numpy", no_cfunc_wrapper=True)
    return cast(Function, jit(function))


def device(function: Function) -> Function:
    """Compile a helper that only kernels call; it is inlined by LLVM and never cached on its own.

    Python cannot call it: what that would need takes longer to compile than most helpers.
    """
    jit = numba.njit(
        fastmath=_FAST, error_model="numpy", forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )
    return cast(Function, jit(function))
