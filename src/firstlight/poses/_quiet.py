"""Keeping pycolmap's log off the screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pycolmap

_FATAL = 3  # glog's levels: 0 info, 1 warning, 2 error, 3 fatal


@contextmanager
def quiet() -> Iterator[None]:
    """Let pycolmap say nothing below FATAL. What it would have said is told by verdicts instead."""
    before = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = _FATAL
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = before
