"""How much memory this process has needed, and what becomes of what it gives back."""

from __future__ import annotations

import ctypes
import re
import sys
from functools import cache
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_KEPT = 2**30  # bytes


@cache
def keep_freed() -> None:
    """Have freed memory kept for the next step, up to 1 GiB of it; where malloc is glibc's, else nothing.

    Each step asks for the same large tensors as the last, gradients above all. Malloc gives such memory back
    to the system at once, which must clear it page by page before the next step has it: 3 to 6 ms of the
    100 that a step of 100,000 Gaussians takes on two cores.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        if not mallopt(_MMAP_THRESHOLD, _KEPT):  # glibc before 2.35 takes no more than this
            mallopt(_MMAP_THRESHOLD, 2**25)
        mallopt(_TRIM_THRESHOLD, _KEPT)


def peak_memory_mb() -> float:
    """The largest resident size so far, in MB of 10⁶ bytes; NaN where the system does not tell (Windows)."""
    try:  # Linux. Its getrusage begins with the peak of the process that started this one.
        status = Path("/proc/self/status").read_text()
    except OSError:
        status = ""
    told = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if told:
        return int(told[1]) * 1024 / 1e6
    try:
        import resource
    except ModuleNotFoundError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
