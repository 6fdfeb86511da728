"""What a run was made with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "numba", "pycolmap", "opencv-python-headless", "pillow")


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    return {
        "cpu": _processor(),
        "cores": cores(),
        "memory_gb": None if memory is None else round(memory / 1e9, 1),
        "platform": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Of firstlight and of the packages that the numbers depend on."""
    return {name: package_version(name) for name in ("firstlight", *PACKAGES)}


def package_version(name: str) -> str:
    """What is installed, or 'not installed'."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
