"""What a camera writes beside the pixels: focal length and lens."""

from __future__ import annotations

import math
from typing import Any

from PIL import Image

_MAKE, _MODEL, _EXIF_IFD = 0x010F, 0x0110, 0x8769
_FOCAL_LENGTH, _PIXEL_WIDTH, _PIXEL_HEIGHT = 0x920A, 0xA002, 0xA003
_FOCAL_35MM, _LENS_MODEL = 0xA405, 0xA434
_PLANE_X_RESOLUTION, _PLANE_UNIT = 0xA20E, 0xA210
_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # inch, centimetre, millimetre, micrometre
_DIAGONAL_35MM = math.hypot(36, 24)


def focal_pixels(exif: Image.Exif, width: int, height: int) -> float | None:
    """Focal length in pixels of a photo stored as ``width`` × ``height``, None where the EXIF does not tell.

    From the 35 mm equivalent; else from the focal length and the pixel density of the sensor.
    """
    tags = exif.get_ifd(_EXIF_IFD)
    equivalent = _number(tags.get(_FOCAL_35MM))
    if equivalent:
        return _pixels_of(equivalent, width, height)
    focal, density = _number(tags.get(_FOCAL_LENGTH)), _number(tags.get(_PLANE_X_RESOLUTION))
    unit = _MILLIMETRES.get(tags.get(_PLANE_UNIT, 2))
    if not (focal and density and unit):
        return None
    # The density is that of the picture as it left the camera; this copy may have been made smaller.
    return _sane(focal * density / unit * _shrunk(tags, width, height), width, height)


def _pixels_of(equivalent: float, width: int, height: int) -> float | None:
    """A 35 mm equivalent in pixels: by its definition (CIPA DCG-001) it compares picture diagonals."""
    return _sane(equivalent / _DIAGONAL_35MM * math.hypot(width, height), width, height)


def _shrunk(tags: dict[int, Any], width: int, height: int) -> float:
    """The size of a stored picture over that which it had when it left the camera."""
    across, down = _number(tags.get(_PIXEL_WIDTH)), _number(tags.get(_PIXEL_HEIGHT))
    if across and down:  # long side to long side: what turns pixels often leaves these tags as they were
        return max(width, height) / max(across, down)
    return width / (across or width)


def _sane(focal: float, width: int, height: int) -> float | None:
    """Nothing that lenses make: a wrong prior is worse than none."""
    return focal if 0.2 <= focal / max(width, height) <= 20 else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def lens_key(exif: Image.Exif, width: int, height: int) -> str | None:
    """Equal for photos through one lens at one zoom, in one size; None where the EXIF names no camera.

    Digital zoom counts: it leaves the focal length as it is, and says itself in the 35 mm equivalent.
    """
    tags = exif.get_ifd(_EXIF_IFD)
    named = [_text(exif.get(_MAKE)), _text(exif.get(_MODEL)), _text(tags.get(_LENS_MODEL))]
    if not any(named):
        return None
    focal, equivalent = _number(tags.get(_FOCAL_LENGTH)), _number(tags.get(_FOCAL_35MM))
    zoom = f"{focal:g} mm" if focal else ""
    film = f"({equivalent:g} mm)" if equivalent and _pixels_of(equivalent, width, height) else ""
    return " ".join(part for part in [*named, zoom, film, f"{width}×{height}"] if part)


def _text(value: Any) -> str:
    return " ".join(value.replace("\0", " ").split()) if isinstance(value, str) else ""
