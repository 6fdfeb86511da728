"""What a stage of a run found, to go on from bit for bit: tensors, and JSON in their header for the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from firstlight.errors import InputError
from firstlight.files.atomic import atomic_write


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write ``tensors`` by name and ``about``, whose ``format`` tells what the file is."""
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        save_file(contiguous, temporary, metadata={"about": json.dumps(about)})


def load_tensors(path: Path, format_: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What ``save_tensors`` was told, and the tensors.

    InputError when the file is missing, damaged, or not of this format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}). Delete it to make it anew.") from error
    if not isinstance(about, dict) or about.get("format") != format_:
        raise InputError(f"{path}: was not written by this version. Delete it to make it anew.")
    return about, tensors
