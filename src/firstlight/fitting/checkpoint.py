"""Checkpoints: everything a fit needs to go on as if it had never stopped. safetensors, no pickles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from firstlight.errors import InputError
from firstlight.files.atomic import atomic_write

KEEP = 2  # the newest may be the one that a dying disk spoiled


@dataclass(frozen=True)
class Checkpoint:
    """``tensors`` by name, and what is no tensor: the step, the seconds spent, a word on what was fitted."""

    step: int
    seconds: float
    fingerprint: str  # of recipe, seed and photos: a checkpoint only continues the very fit that wrote it
    tensors: dict[str, Tensor]


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write ``folder/step-N.safetensors`` and remove all but the newest few."""
    path = folder / f"step-{checkpoint.step:08d}.safetensors"
    about = {"step": checkpoint.step, "seconds": checkpoint.seconds, "fingerprint": checkpoint.fingerprint}
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, {"firstlight": json.dumps(about)})
    for old in _checkpoints(folder)[:-KEEP]:
        old.unlink()
    return path


def load_checkpoint(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The newest one that can be read, or None.

    InputError when it belongs to another fit, or when there are some but none can be read.
    """
    broken: list[Path] = []
    for path in reversed(_checkpoints(folder)):
        try:
            found = _read(path)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            broken.append(path)
            continue
        if found.fingerprint != fingerprint:
            raise InputError(
                f"{path}: was written by a fit with other settings, photos or version of firstlight. "
                "Resume with the settings of that run, or choose another output folder."
            )
        return found
    if broken:
        raise InputError(f"{broken[0]}: cannot be read. Delete {folder} to start this fit anew.")
    return None


def _read(path: Path) -> Checkpoint:
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["firstlight"])
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no mapping)
    return Checkpoint(int(about["step"]), float(about["seconds"]), str(about["fingerprint"]), tensors)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"))
