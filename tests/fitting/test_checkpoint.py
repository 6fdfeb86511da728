from __future__ import annotations

from pathlib import Path

import pytest
import torch

from firstlight.errors import InputError
from firstlight.fitting.checkpoint import KEEP, Checkpoint, load_checkpoint, save_checkpoint


def checkpoint(step: int, fingerprint: str = "same") -> Checkpoint:
    tensors = {
        "a": torch.randn(5, 3),
        "flags": torch.tensor([True, False]),
        "empty": torch.zeros(0, dtype=torch.long),
    }
    return Checkpoint(step, 1.5 * step, fingerprint, tensors)


def test_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved = checkpoint(7)
    save_checkpoint(saved, tmp_path)
    found = load_checkpoint(tmp_path, "same")
    assert found is not None and (found.step, found.seconds) == (7, 10.5)
    assert found.tensors.keys() == saved.tensors.keys()
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in saved.tensors.items())


def test_the_newest_is_taken_and_old_ones_go(tmp_path: Path) -> None:
    for step in (900, 1000, 11000):  # as text, 11000 would sort before 900
        save_checkpoint(checkpoint(step), tmp_path)
    found = load_checkpoint(tmp_path, "same")
    assert found is not None and found.step == 11000
    assert len(list(tmp_path.iterdir())) == KEEP


def test_a_spoiled_newest_one_is_passed_over(tmp_path: Path) -> None:
    save_checkpoint(checkpoint(1), tmp_path)
    path = save_checkpoint(checkpoint(2), tmp_path)
    path.write_bytes(path.read_bytes()[:40])
    found = load_checkpoint(tmp_path, "same")
    assert found is not None and found.step == 1


def test_none_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "nowhere", "same") is None


def test_another_fit_is_refused(tmp_path: Path) -> None:
    save_checkpoint(checkpoint(1), tmp_path)
    with pytest.raises(InputError, match="other settings"):
        load_checkpoint(tmp_path, "another")


def test_only_spoiled_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "step-00000001.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(tmp_path, "same")
