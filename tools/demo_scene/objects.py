"""Single objects of the still life, without the room: what object poses are measured on."""

from __future__ import annotations

from typing import Any

import numpy as np

from .scene import Still, _books, _bowl, _lights

# Where each object's middle is: its cameras turn to it.
MIDDLES = {"books": np.array([0.40, 0.15, 0.10]), "bowl": np.array([0.04, 0.16, 0.07])}
_PARTS = {"books": _books, "bowl": _bowl}


def build_object(name: str, seed: int = 7) -> Any:
    """The Mitsuba scene of one object in the still life's light: books with a mug, or a bowl of fruit."""
    still = Still(seed)
    _PARTS[name](still)
    _lights(still)
    return still.load([0.56, 0.60, 0.64])
