"""What a picture shows, cell by cell, in numbers that light and noise change little."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, normalize

from firstlight.errors import InputError
from firstlight.pretrained import Pretrained, Use

HOW = "pip install 'firstlight[geometry]'"
# Licence as the model card on the hub states it.
DINOV2 = Pretrained("dinov2", "Apache-2.0", "facebook/dinov2-with-registers-small", ("transformers",), HOW)
LIGHTNESS, CHROMA, DIRECTIONS = 8, 8, 8  # bins
GROUPS = [LIGHTNESS, CHROMA, CHROMA, DIRECTIONS + 1]
COLOURFUL = 48.0  # a and b beyond this fall into the last bin
SHARPNESS = 0.75  # so that unrelated cells of photos come out below a half
STEEP = 10.0  # change of lightness over two pixels that is an edge and nothing else
CACHED = 64  # descriptions of photos


class Descriptor(Protocol):
    """One way to describe pictures."""

    def __call__(self, rgb: Tensor, rows: int, columns: int, again: bool = True) -> Tensor:
        """What the cells of ``rgb`` [H, W, 3] float32 in [0, 1] show [rows, columns, D].

        again: whether the same picture will be asked about again.
        """

    def alike(self, a: Tensor, b: Tensor) -> Tensor:
        """From 1, the same, down to a half or less for what has nothing to do with each other [h, w]."""


def get_descriptor(name: str) -> Descriptor:
    """ "histograms", "dinov2", a folder with such a network, or "auto": DINOv2 where its weights are at hand.

    InputError where the network cannot be loaded.
    """
    if name == "histograms":
        return Histograms()
    if name == "auto":
        return _dinov2_at_hand() or Histograms()
    weights = _weights(name)
    if weights.missing:
        raise InputError(f"Features '{name}' need one more package: {weights.install}.")
    return _network(weights.model)


def weights_for(name: str) -> tuple[Use, ...]:
    """What ``get_descriptor`` can or must have."""
    if name == "histograms":
        return ()
    stand_in = "histograms of colours and edges, which find less" if name == "auto" else ""
    return (Use((_weights(name),), instead=stand_in),)


def _weights(name: str) -> Pretrained:
    if name in ("auto", DINOV2.name):
        return DINOV2
    return Pretrained(name, "that of the model in this folder", name, DINOV2.packages, DINOV2.install)


class Histograms:
    """Shares of lightness, of both opponent colours, and of directions of edges (Dalal and Triggs 2005).

    Their square roots: a product of two is a Bhattacharyya coefficient. Cells are alike as far as all four
    are.
    """

    def __call__(self, rgb: Tensor, rows: int, columns: int, again: bool = True) -> Tensor:
        lab = torch.from_numpy(cv2.cvtColor(rgb.contiguous().numpy().clip(0, 1), cv2.COLOR_RGB2LAB))
        light, a, b = lab.unbind(-1)
        groups = [
            _shares(light, 0, 100, LIGHTNESS),
            _shares(a, -COLOURFUL, COLOURFUL, CHROMA),
            _shares(b, -COLOURFUL, COLOURFUL, CHROMA),
            _edges(light),
        ]
        counted = adaptive_avg_pool2d(torch.cat(groups, -1).permute(2, 0, 1)[None], (rows, columns))[0]
        return counted.clamp(min=0).sqrt().permute(1, 2, 0)

    def alike(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.stack([group.sum(-1) for group in torch.split(a * b, GROUPS, -1)]).prod(0) ** SHARPNESS


def _shares(values: Tensor, low: float, high: float, bins: int) -> Tensor:
    """Each value [H, W] dealt to the two bins that it lies between [H, W, bins]."""
    place = ((values - low) / (high - low) * (bins - 1)).clamp(0, bins - 1)
    return (1 - (place[..., None] - torch.arange(bins)).abs()).clamp(min=0)


def _edges(light: Tensor) -> Tensor:
    """Directions of edges [H, W, 8 + 1]; the last bin is for what is flat."""
    padded = np.pad(light.numpy(), 1, mode="edge")
    dx = torch.from_numpy(padded[1:-1, 2:] - padded[1:-1, :-2])
    dy = torch.from_numpy(padded[2:, 1:-1] - padded[:-2, 1:-1])
    steepness = (torch.hypot(dx, dy) / STEEP).clamp(max=1)
    place = torch.remainder(torch.atan2(dy, dx) / torch.pi, 1) * DIRECTIONS
    off = (place[..., None] - torch.arange(DIRECTIONS)).abs()
    dealt = (1 - torch.minimum(off, DIRECTIONS - off)).clamp(min=0)
    return torch.cat([dealt * steepness[..., None], (1 - steepness)[..., None]], -1)


class _Dinov2:
    """Patches as a network of the DINOv2 family (Oquab et al. 2024) describes them."""

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __init__(self, network: Any) -> None:
        self.network = network
        self.patch = int(network.config.patch_size)
        self.known: dict[tuple[bytes, int, int], Tensor] = {}

    def alike(self, a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(-1)

    @torch.no_grad()
    def __call__(self, rgb: Tensor, rows: int, columns: int, again: bool = True) -> Tensor:
        if not again:
            return self._describe(rgb, rows, columns)
        # Photos come again and again, and one description takes longer than a step.
        key = (blake2b(rgb.contiguous().numpy().tobytes(), digest_size=16).digest(), rows, columns)
        if key not in self.known:
            if len(self.known) >= CACHED:
                self.known.pop(next(iter(self.known)))
            self.known[key] = self._describe(rgb, rows, columns)
        return self.known[key]

    def _describe(self, rgb: Tensor, rows: int, columns: int) -> Tensor:
        size = (rows * self.patch, columns * self.patch)
        picture = interpolate(rgb.permute(2, 0, 1)[None], size=size, mode="bilinear", antialias=True)
        picture = (picture - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[:, None, None]
        patches = self.network(pixel_values=picture).last_hidden_state[0, -rows * columns :]
        return normalize(patches, dim=-1).reshape(rows, columns, -1)


@cache
def _network(name: str) -> _Dinov2:
    from transformers import AutoModel

    try:
        return _Dinov2(AutoModel.from_pretrained(name, use_safetensors=True).eval())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{name}: the network cannot be loaded ({str(error).splitlines()[0]}). It is fetched once from "
            "the Hugging Face hub; or give a folder with its config.json and model.safetensors."
        ) from error


@cache
def _dinov2_at_hand() -> _Dinov2 | None:
    if not DINOV2.at_hand:
        return None
    from transformers import AutoModel

    try:
        network = AutoModel.from_pretrained(DINOV2.model, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError):
        return None
    return _Dinov2(network.eval())
