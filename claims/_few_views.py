"""Few photos of the demo with exact cameras and known depth at views that do not train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from firstlight.capture import load_demo
from firstlight.evaluate import psnr
from firstlight.geometry import densify
from firstlight.pipeline import prepare
from firstlight.render import render_camera
from firstlight.scene import Capture, Cloud, Gaussians, Points, Split

SIZE = 128  # pixels of the long side
POINTS = 400  # sparse points: what structure from motion leaves of three photos
SEEDS = (0, 1, 2)


class Quality(NamedTuple):
    """Of a scene."""

    held_out: float  # dB
    train: float  # dB
    depth: float  # median relative error of depth at held-out photos


def few(train: Sequence[int], test: Sequence[int]) -> tuple[Capture, Capture, Split]:
    """What a fit is given (stereo's depth, cloud and sparse points from it), the truth, and the split."""
    index = sorted([*train, *test])
    truth = prepare(load_demo(with_cameras=True).select(index), SIZE)
    split = Split([index.index(i) for i in train], [index.index(i) for i in test])
    blind = replace(truth, photos=[replace(photo, depth=None) for photo in truth.photos])
    given = densify(blind, photos=split.train, max_size=SIZE)
    return replace(given, points=_sparse(given.cloud)), truth, split


def _sparse(cloud: Cloud | None) -> Points:
    assert cloud is not None
    order = torch.randperm(len(cloud), generator=torch.Generator().manual_seed(0))
    some = cloud.select(order[:POINTS])
    return Points(some.xyz.double(), some.rgb, torch.full((len(some),), 0.5, dtype=torch.float64))


@torch.no_grad()
def quality(gaussians: Gaussians, truth: Capture, split: Split, test: Sequence[int] | None = None) -> Quality:
    """Over the photos ``test``, by default all that are held out."""
    assert truth.cameras is not None
    values: dict[bool, list[float]] = {True: [], False: []}
    wrong = []
    for held, indices in ((False, split.train), (True, split.test if test is None else test)):
        for index in indices:
            colors, alpha, _ = render_camera(gaussians, truth.cameras.select([index]), depth=True)
            photo = truth.photos[index]
            picture = photo.decode()
            values[held].append(psnr(colors[..., :3], picture.rgb, picture.mask))
            if held and photo.depth is not None:
                true = torch.from_numpy(photo.depth())
                # Where nothing is drawn, depth is as wrong as can be.
                off = torch.where(alpha > 0.5, (colors[..., 3] / true.clamp(min=1e-6) - 1).abs(), 1.0)
                wrong.append(float(off[true > 0].median()))
    return Quality(float(np.mean(values[True])), float(np.mean(values[False])), float(np.mean(wrong)))


def mean(found: Sequence[Quality]) -> Quality:
    """Over seeds."""
    return Quality(*(float(np.mean(column)) for column in zip(*found, strict=True)))


def spread(found: Sequence[Quality]) -> float:
    """dB between the best and the worst seed."""
    values = [one.held_out for one in found]
    return max(values) - min(values)
