"""Two programs at work in one folder would undo each other's work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firstlight.errors import InputError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep ``folder`` for this process during the block; one made for it and left empty is taken away.

    The lock is on the folder itself and goes with the process, however that ends. Windows has none such:
    there, and where a file system has no locks, the block runs unguarded. InputError when another process
    has the folder, or when it cannot be made.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}). Choose another folder.") from error
    with _locked(folder):  # whoever is refused leaves the folder as it is: it is another's
        try:
            yield
        finally:
            if made and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise InputError(
            f"{folder}: another firstlight is at work in it. Wait for its end, or choose another --out."
        ) from error
    except OSError:  # no locks here
        pass
    try:
        yield
    finally:
        os.close(handle)
