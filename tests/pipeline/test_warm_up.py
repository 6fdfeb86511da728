"""The processes that compile kernels: started only when needed, never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from firstlight.pipeline import warm_up

Commands = list[Any]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The processes that were started, on a computer where nothing has been compiled yet."""
    processes: Commands = []
    popen = subprocess.Popen

    def start(*args: Any, **kwargs: Any) -> Any:
        processes.append(popen(*args, **kwargs))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(warm_up, "is_cold", lambda: True)
    return processes


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


KERNELS = """
import gc
from numba.core.dispatcher import Dispatcher

def called():
    for kernel in gc.get_objects():
        if isinstance(kernel, Dispatcher):
            for signature in kernel.signatures:
                yield f"{kernel.__module__}.{kernel.__name__}{signature}"

print("\\n".join(sorted(set(called()))))
"""

RUN = """
import sys
from firstlight import pipeline
from firstlight.capture import load_demo
photos = load_demo(with_cameras=True)
few, many = photos.select([6, 8, 10, 12, 14]), photos.select(range(14))
for name, some in (("few", few), ("many", many)):
    pipeline.fit(some, out=f"{sys.argv[1]}/{name}", steps=60, max_size=48, max_gaussians=400)
"""


def test_it_runs_every_kernel_of_a_run(tmp_path: Path) -> None:
    """With the same types: those that a run of few or of many photos calls are among those that it called."""

    def called(program: str) -> set[str]:
        command = [*python(program + KERNELS), str(tmp_path)]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return {line for line in lines if line.startswith("firstlight.")}

    steps, rest = (called(warm_up.COMMANDS[part][-1]) for part in (warm_up.STEPS, warm_up.REST))
    assert any("_patchmatch_kernels" in name for name in rest - steps)
    assert any("_blend_kernels" in name for name in steps - rest)
    assert called(RUN) - (steps | rest) == set()
    assert not warm_up.is_cold()


def test_nothing_is_started_where_all_is_compiled(started: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "is_cold", lambda: False)
    with warm_up.warming():
        pass
    assert not started


def test_a_kernel_that_was_never_compiled_is_cold(tmp_path: Path) -> None:
    """In a process of its own with a cache of its own, before and after its first call."""
    code = """
import numpy as np
from firstlight.pipeline.warm_up import is_cold
from firstlight.render._tiles_kernels import place_tiles
print(is_cold(place_tiles), end=" ")
place_tiles(np.zeros((1, 2), np.int64), np.zeros(3, np.int64))
print(is_cold(place_tiles), is_cold(object()))
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    found = subprocess.run(python(code), env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "False", "False"]


def test_it_is_waited_for(started: Commands, tmp_path: Path) -> None:
    file = tmp_path / "done"
    sleep = python(f"import time; time.sleep(0.3); open({str(file)!r}, 'w')")
    with warm_up.warming({"quick": python("pass"), "slow": sleep}) as kernels:
        kernels.wait("quick")
        assert started[1].poll() is None
        kernels.wait("slow")
    assert file.exists()
    assert [process.returncode for process in started] == [0, 0]


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import os; os.abort()"])
def test_its_death_harms_nobody(started: Commands, code: str) -> None:
    with warm_up.warming({"it": python(code)}) as kernels:
        kernels.wait("it")
    assert started[0].returncode != 0


def test_a_command_that_does_not_exist_harms_nobody(started: Commands) -> None:
    with warm_up.warming({"it": ("no-such-command-anywhere",)}) as kernels:
        kernels.wait("it")
    assert not started


def test_it_is_not_waited_for_for_ever_nor_after_an_error(started: Commands) -> None:
    sleep = python("import time; time.sleep(600)")
    began = time.monotonic()
    with warm_up.warming({"one": sleep, "other": sleep}, patience=0.1) as kernels:
        kernels.wait("one")
        kernels.wait("other")
    with pytest.raises(KeyboardInterrupt), warm_up.warming({"one": sleep}):
        raise KeyboardInterrupt
    assert time.monotonic() - began < 60
    assert all(process.poll() is not None for process in started)


def test_modules_do_not_come_from_the_folder_that_the_user_is_in(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('a stranger')")
    command = (*warm_up.COMMANDS[warm_up.REST][:-1], "import random")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
