"""Paths that stand in files: they must stay in their folder."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from firstlight.errors import InputError


def inside(folder: Path, name: str, written_in: Path) -> Path:
    """``folder``/``name``; InputError when that would leave ``folder``.

    A data set from elsewhere must not make its reader open files that are none of its business.
    """
    clean = posixpath.normpath(name.replace("\\", "/"))
    if (
        clean.startswith(("/", "../"))
        or clean in ("..", ".")
        or re.match(r"[A-Za-z]:", clean)
        or "\0" in clean
    ):
        raise InputError(
            f"{written_in}: it names the file {name!r}, which is not inside {folder}. "
            "Move the files into that folder, and name them relative to it."
        )
    return folder / clean
