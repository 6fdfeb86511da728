"""How much memory this process has needed."""

from __future__ import annotations

import re
import sys
from pathlib import Path


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
