"""A run killed at any moment and resumed ends with the same Gaussians, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.errors import InputError

STEPS = 240
PROGRAM = f"""
import sys
from firstlight import pipeline
from firstlight.capture import load_demo
pipeline.fit(
    load_demo(with_cameras=True),
    "vanilla",
    out=sys.argv[1],
    steps={STEPS},
    max_size=96,
    checkpoint_seconds=0.3,
)
"""

RESUME = """
import sys
from firstlight import pipeline
from firstlight.capture import load_demo
pipeline.resume(sys.argv[1], photos=load_demo(with_cameras=True))
"""


def resumed(folder: Path) -> pipeline.Run:
    """The run of ``folder`` after a new process has gone on with it, as it is after a crash."""
    subprocess.run([sys.executable, "-c", RESUME, str(folder)], check=True, stderr=subprocess.DEVNULL)
    return pipeline.Run.open(folder)


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)], stderr=subprocess.DEVNULL)


def wait_for_checkpoint(folder: Path, process: subprocess.Popen[bytes], after: int) -> None:
    """Until there is a checkpoint later than step ``after``; a few more steps are then under way."""
    for _ in range(6000):
        steps = [
            int(path.stem.removeprefix("step-")) for path in folder.glob("checkpoints/step-*.safetensors")
        ]
        if any(step > after for step in steps):
            return
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    raise AssertionError("no checkpoint was written")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> pipeline.Run:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    process = start(folder)
    assert process.wait(timeout=300) == 0
    return pipeline.Run.open(folder)


def same(a: pipeline.Run, b: pipeline.Run) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.scene, b.scene, strict=True))


def assert_same(a: pipeline.Run, b: pipeline.Run) -> None:
    """Bit equality that says what differs, and since when."""
    if same(a, b):
        return
    logs = [(run.folder / "metrics.jsonl").read_text().splitlines() for run in (a, b)]
    pairs = [[{**json.loads(line), "seconds": 0} for line in lines] for lines in zip(*logs, strict=False)]
    since = next((x["step"] for x, y in pairs if x != y), None)
    sizes = f"{len(a.scene)} and {len(b.scene)} Gaussians"
    off = [
        float((x - y).abs().max()) if x.shape == y.shape else None
        for x, y in zip(a.scene, b.scene, strict=True)
    ]
    threads = [run.about.get("machine") for run in (a, b)]
    raise AssertionError(f"{sizes}, logs differ from step {since} on, at most {off} apart, on {threads}")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill a process outright")
def test_killed_twice_and_resumed_is_bit_equal(unbroken: pipeline.Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(folder)
    wait_for_checkpoint(folder, process, after=STEPS // 4)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert json.loads((folder / "run.json").read_text())["status"] == "running"
    assert not (folder / "scene.ply").exists()

    run = resumed(folder)

    assert run.complete
    assert_same(run, unbroken)
    assert run.about["timings"]["fit"] == pytest.approx(run.summary["fit_seconds"], abs=0.01)
    assert run.summary["seconds"] >= run.summary["fit_seconds"], "also of the start that was killed"
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)), "a step is logged once, however often it was stepped"


def test_another_seed_differs(unbroken: pipeline.Run, tmp_path: Path) -> None:
    # Otherwise bit equality above would prove nothing.
    other = pipeline.fit(
        load_demo(with_cameras=True), "vanilla", out=tmp_path / "run", steps=STEPS, max_size=96, seed=1
    )
    assert not same(other, unbroken)


def test_ctrl_c_saves_and_resumes(unbroken: pipeline.Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(folder)
    wait_for_checkpoint(folder, process, after=10)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    stopped = pipeline.Run.open(folder)
    assert stopped.about["status"] == "stopped"
    assert len(stopped.scene) > 0  # what there is can be looked at
    with pytest.raises(InputError, match="--resume"):
        pipeline.evaluate(folder)  # which would call it complete

    run = resumed(folder)

    assert run.complete
    assert_same(run, unbroken)


def test_resuming_a_complete_run_changes_nothing(unbroken: pipeline.Run) -> None:
    before = (unbroken.folder / "scene.ply").stat().st_mtime_ns
    (unbroken.folder / "report.html").unlink()  # as if it had been stopped in the last second
    assert pipeline.resume(unbroken.folder).complete
    assert (unbroken.folder / "scene.ply").stat().st_mtime_ns == before
    assert "PSNR" in (unbroken.folder / "report.html").read_text()


def test_a_second_run_does_not_touch_the_first(unbroken: pipeline.Run) -> None:
    with pytest.raises(InputError, match="--resume"):
        pipeline.fit(load_demo(with_cameras=True), "vanilla", out=unbroken.folder, steps=5)
    assert unbroken.complete
