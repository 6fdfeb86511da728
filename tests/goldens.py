"""Tensors that gsplat's own functions computed: made by ``tools/make_gsplat_goldens.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def read_goldens(room: str, name: str) -> dict[str, Tensor]:
    """The arrays of ``tests/ROOM/goldens/NAME.npz`` as tensors."""
    path = Path(__file__).parent / room / "goldens" / f"{name}.npz"
    with np.load(path, allow_pickle=False) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}
