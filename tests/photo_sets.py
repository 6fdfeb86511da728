"""The real photo sets, where this machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def photo_set(name: str) -> Path:
    """The folder of one set; skips the test where it is not there."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FIRSTLIGHT_DATA", beside)) / name
    if not folder.is_dir():
        pytest.skip(f"the photo set {name} is not here (FIRSTLIGHT_DATA names the folder of sets)")
    return folder
