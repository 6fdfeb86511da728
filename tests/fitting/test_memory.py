"""The peak that a process reports is its own."""

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
