"""The peak that a process reports is its own."""

import platform
import subprocess
import sys

import numpy as np
import pytest

from firstlight.fitting import peak_memory_mb

PROGRAM = "from firstlight.fitting.memory import peak_memory_mb; print(peak_memory_mb())"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere it is the system's own number")
def test_a_large_process_does_not_lend_its_peak_to_one_that_it_starts() -> None:
    large = np.ones(150_000_000)  # 1.2 GB
    assert peak_memory_mb() > 1200
    del large
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert 50 < float(done.stdout) < 1000


KEPT = """
import re, sys
from pathlib import Path
import numpy as np
from firstlight.fitting.memory import keep_freed
if sys.argv[1] == "keep":
    keep_freed()
blocks = [np.ones(375_000) for _ in range(40)]  # 3 MB each
del blocks
print(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told to")
def test_freed_memory_is_kept() -> None:
    def resident_mb(how: str) -> float:
        done = subprocess.run([sys.executable, "-c", KEPT, how], capture_output=True, text=True, check=True)
        return int(done.stdout) * 1024 / 1e6

    assert resident_mb("keep") > resident_mb("leave") + 80
