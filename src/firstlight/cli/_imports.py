"""How commands import what is slow to import."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Imports of a command without garbage collection: what modules hold is no garbage.

    Looking through torch's for some takes a second, and as long again in the collections to come and at the
    end: so all that was loaded is left out of them.
    """
    if "torch" in sys.modules:  # the caller's process, and the caller's garbage
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
