"""Which pictures are 360° panoramas."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from PIL import Image

from firstlight.capture._picture import UnusableError

_MIN_WIDTH = 1000


def is_panorama(image: Image.Image, width: int, height: int, small: npt.NDArray[np.uint8]) -> bool:
    """Whether a picture shows the whole sphere, equirectangular; ``small`` is a copy of it, shrunk.

    The rule: its XMP says so (GPano), or it is exactly 2:1, at least 1000 pixels wide, and its pixels
    behave as such a picture's must: left and right edge continue each other, although there is something
    on them; and the top row and the bottom row, each of them one point of the sphere, hardly vary. (The
    bounds are from indoor panoramas, all of which pass, and 2:1 cuts of ordinary photos, none of which do.)
    UnusableError when the XMP says that it shows a part of the sphere: nothing here can use that.
    """
    xmp = _xmp(image)
    if _field(xmp, "ProjectionType") == "equirectangular":
        if not _covers_sphere(xmp):
            raise UnusableError(
                "a panorama of a part of the sphere: take single photos, or a full 360° × 180° panorama"
            )
        return True
    return width == 2 * height and width >= _MIN_WIDTH and _closes(small.astype(np.float32))


def _xmp(image: Image.Image) -> str:
    raw = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _field(xmp: str, name: str) -> str | None:
    """A GPano value, written as an attribute or as an element."""
    found = re.search(rf"GPano:{name}\s*(?:=\s*[\"']|>)\s*([\w.]+)", xmp)
    return found.group(1) if found else None


def _covers_sphere(xmp: str) -> bool:
    pairs = [
        (_field(xmp, f"CroppedAreaImage{side}Pixels"), _field(xmp, f"FullPano{side}Pixels"))
        for side in ("Width", "Height")
    ]
    return all(a is None or b is None or a == b for a, b in pairs)


def _closes(small: npt.NDArray[np.float32]) -> bool:
    """The three signs in the pixels [h, w, 3]; see ``is_panorama``."""
    steps = np.abs(np.diff(small, axis=1)).mean((0, 2))  # [w - 1] from each column to its neighbour
    seam = np.abs(small[:, 0] - small[:, -1]).mean()
    edge = small[:, [0, -1]].std(0).mean()
    poles = np.sort(small[[0, -1]].std(1).mean(-1))  # [2]
    overall = small.std((0, 1)).mean()
    # The nadir shows whoever holds the camera, so one of the poles may vary somewhat.
    smooth = poles[0] <= 0.15 * overall and poles[1] <= 0.6 * overall
    return bool(seam <= 1.5 * np.percentile(steps, 90) and edge >= 0.25 * overall and smooth)
