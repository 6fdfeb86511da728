"""Pictures of a run folder, made small enough to travel inside a page."""

from __future__ import annotations

import base64
import io
import os
import warnings
from pathlib import Path
from typing import NamedTuple

from PIL import Image

FORMATS = ("PNG", "WEBP", "JPEG")
QUALITY = 84  # of WebP: no difference to be seen at arm's length


class Embedded(NamedTuple):
    """A picture as a data URI."""

    uri: str
    width: int
    height: int


class PictureError(ValueError):
    """A picture that stays out of the report, and why."""


def embed(run: Path, relative: str, max_side: int) -> Embedded:
    """The picture at ``relative`` inside the run folder, its long side at most ``max_side`` pixels.

    PictureError when it lies outside of the folder (a run folder may come from anybody), is missing or
    cannot be read.
    """
    path = inside(run, relative)
    if not os.path.isfile(path):  # noqa: PTH113, a Path raises where the name is too long
        raise PictureError(f"{relative}: is missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as opened:
                picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning) as error:
        raise PictureError(f"{relative}: cannot be read as a picture") from error
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return Embedded(f"data:image/webp;base64,{encoded}", *picture.size)


def inside(run: Path, relative: str) -> Path:
    """``run / relative``, links followed; PictureError when that is not inside ``run``."""
    try:
        path = (run / relative).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise PictureError(f"{relative}: is no path") from error
    if not path.is_relative_to(run.resolve()):
        raise PictureError(f"{relative}: lies outside of the run folder")
    return path
