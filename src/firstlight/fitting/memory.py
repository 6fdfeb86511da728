"""How much memory this process has needed."""

from __future__ import annotations

import sys


def peak_memory_mb() -> float:
    """The largest resident size so far, in MB of 10⁶ bytes; NaN where the system does not tell (Windows)."""
    try:
        import resource
    except ModuleNotFoundError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
