"""Depth of single photos by a pretrained network, brought to the scene's scale by its sparse points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from firstlight.errors import InputError
from firstlight.geometry._depth_map import DepthMap
from firstlight.geometry._neighbours import points_in
from firstlight.geometry._views import View, plane_normals
from firstlight.progress import Progress
from firstlight.scene import KEEP_FROM, Capture

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

FEWEST = 8  # points, below which two numbers are not to be trusted
TRIES = 256  # pairs of points that are asked for a scale and an offset
NEAR = 0.1  # relative difference of depth, up to which a point speaks for a scale and an offset
FLATTEST = 0.05  # of the smallest value at a point (depth, or inverse depth): what is less is not believed


@dataclass(frozen=True)
class Monocular:
    """A network from transformers' ``AutoModelForDepthEstimation``.

    model: its name on the Hugging Face hub, or a folder. Only safetensors are read, and no code that comes
    with a model is run. What the network says of each photo is fitted to the photo's sparse points by a scale
    and an offset, in depth or in inverse depth, whichever fits better: some networks give the one, some the
    other. A photo with fewer than a dozen points has no depth.
    """

    model: str
    agreement: float = 4.0  # pixels by which two photos may disagree: a guess is never as exact as parallax

    def __call__(
        self, capture: Capture, views: Sequence[View], neighbours: Sequence[Sequence[int]], *,
        seed: int, progress: Progress,
    ) -> list[DepthMap]:  # fmt: skip
        """InputError when the model cannot be loaded."""
        processor, network = _loaded(self.model)
        maps = []
        with progress.stage("Guessing depth", len(views)) as stage:
            for i, (photo, view) in enumerate(zip(capture.photos, views, strict=True)):
                said = predicted(processor, network, photo.decode().rgb)
                pixels, depths = view.project(points_in(i, view, capture.points))
                aligned = align(said, pixels, depths, np.random.default_rng([seed, i]))
                maps.append(in_scene(aligned, view))
                stage.advance()
        return maps


def _loaded(model: str) -> tuple[Any, Any]:
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    try:
        processor = AutoImageProcessor.from_pretrained(model)
        network = AutoModelForDepthEstimation.from_pretrained(model, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{model}: the depth model cannot be loaded ({str(error).splitlines()[0]}). It is fetched once "
            "from the Hugging Face hub; or give a folder with its config.json, preprocessor_config.json and "
            "model.safetensors."
        ) from error
    return processor, network.eval()


@torch.no_grad()
def predicted(processor: Any, network: Any, rgb: npt.NDArray[np.uint8]) -> Floats:
    """Depth or inverse depth [H, W], of some scale, that the network sees in a photo [H, W, 3]."""
    said = network(**processor(images=rgb, return_tensors="pt")).predicted_depth[0]
    return np.asarray(
        cv2.resize(said.float().numpy(), rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32
    )


def align(
    said: Floats, pixels: Doubles, depths: Doubles, generator: np.random.Generator
) -> tuple[Floats, float] | None:
    """Depth [H, W] (0 = not believed) from what a network ``said``, and the share of points that fit.

    pixels: [P, 2] of points with known ``depths`` [P]. None where they are too few or none fits.
    """
    x, z = at_points(said, pixels, depths)
    if len(z) < FEWEST:
        return None
    as_depth = _line(x, z, lambda target: target, generator)
    as_inverse = _line(x, 1 / z, lambda target: 1 / np.maximum(target, 1e-12), generator)
    (slope, offset, fits), inverse = max((as_depth, False), (as_inverse, True), key=lambda one: one[0][2])
    if fits == 0:
        return None
    value = slope * said.astype(np.float64) + offset
    believed = value > FLATTEST * (1 / z.max() if inverse else z.min())
    depth = 1 / np.maximum(value, 1e-12) if inverse else value
    return np.where(believed, depth, 0).astype(np.float32), fits


def at_points(said: Floats, pixels: Doubles, depths: Doubles) -> tuple[Doubles, Doubles]:
    """What a network said [Q] where points are, and their depths [Q]; none outside of the photo."""
    height, width = said.shape
    column, row = np.rint(pixels).astype(int).T
    inside = (depths > 0) & (column >= 0) & (row >= 0) & (column < width) & (row < height)
    return said[row[inside], column[inside]].astype(np.float64), depths[inside]


def _line(
    x: Doubles, y: Doubles, depth_of: Callable[[Doubles], Doubles], generator: np.random.Generator
) -> tuple[float, float, float]:
    """Slope > 0 and offset from ``x`` to ``y`` that most points agree with, and their share (RANSAC)."""

    def fitting(slope: Doubles, offset: Doubles) -> npt.NDArray[np.bool_]:
        found = slope[:, None] * x + offset[:, None]
        near = np.abs(depth_of(np.maximum(found, 0)) / depth_of(y) - 1) < NEAR
        return np.asarray(near & (found > 0) & (slope > 0)[:, None])

    a, b = generator.integers(0, len(x), (2, TRIES))
    apart = np.abs(x[a] - x[b]) > 1e-9 * np.abs(x).max()
    slope = (y[a] - y[b])[apart] / (x[a] - x[b])[apart]
    offset = y[a][apart] - slope * x[a][apart]
    if len(slope) == 0:
        return 1.0, 0.0, 0.0
    good = fitting(slope, offset)
    best = int(good.sum(1).argmax())
    line, inliers = np.array([slope[best], offset[best]]), good[best]
    for _ in range(3):
        if inliers.sum() < 2:
            return 1.0, 0.0, 0.0
        rows = np.stack([x, np.ones_like(x)], -1)[inliers] / y[inliers, None]  # relative differences count
        refined = np.linalg.lstsq(rows, np.ones(len(rows)), rcond=None)[0]
        now = fitting(refined[:1], refined[1:])[0]
        if now.sum() < inliers.sum():
            break
        line, inliers = refined, now
    return float(line[0]), float(line[1]), float(inliers.mean())


def in_scene(aligned: tuple[Floats, float] | None, view: View, sure: Floats | None = None) -> DepthMap:
    """Depth [H, W] in the scene's scale and the share of points that fit it, with normals from its slopes.

    Every pixel is as sure as points fit, times ``sure`` [H, W] where the network says how sure it is.
    """
    if aligned is None:
        return DepthMap.empty(view.shape)
    depth, fits = aligned
    w = np.where(depth > 0, 1 / np.maximum(depth, 1e-12), 0)
    gy, gx = np.gradient(w)
    if view.keep is not None:
        depth = np.where(view.keep >= KEEP_FROM, depth, 0)
    confidence = np.where(depth > 0, np.float32(fits) * (1 if sure is None else sure), np.float32(0))
    return DepthMap.pack(
        depth.astype(np.float32), plane_normals(w, gx, gy, view), confidence.astype(np.float32)
    )
