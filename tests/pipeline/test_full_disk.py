"""A disk that fills up in the middle of a run."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.errors import InputError
from firstlight.fitting import checkpoint


def test_a_full_disk_stops_the_run_and_keeps_what_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = 0
    real: Any = getattr(checkpoint, "save_file")  # noqa: B009 (not for others to import)

    def save_file(tensors: Any, path: Any, about: Any) -> None:
        nonlocal saves
        saves += 1
        if saves > 2:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, path, about)

    monkeypatch.setattr(checkpoint, "save_file", save_file)
    folder = tmp_path / "run"
    capture = load_demo(with_cameras=True)
    with pytest.raises(InputError, match="No space left"):
        pipeline.fit(capture, "vanilla", out=folder, steps=60, max_size=96, checkpoint_seconds=0.0)
    saved = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert saved == ["step-00000001.safetensors", "step-00000002.safetensors"], "no half-written file is left"

    monkeypatch.setattr(checkpoint, "save_file", real)
    assert pipeline.resume(folder, photos=capture).complete
