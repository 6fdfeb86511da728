"""What the rasteriser's benchmarks render, and how they time it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstlight.density import Fixed
from firstlight.fitting import Fit
from firstlight.recipes import get_recipe
from firstlight.render import fully_fused_projection, isect_offset_encode, isect_tiles
from firstlight.scene import Cameras, Capture, Gaussians, Photo
from firstlight.scene.capture import Picture

TILE = 16


def milliseconds(action: Callable[[], Any], rounds: int) -> float:
    """Median of ``rounds`` calls, after one to warm up."""
    action()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return 1e3 * float(np.median(times))


def random_scene(count: int, width: int, height: int, mean_px: float = 2.0) -> dict[str, Tensor]:
    """Gaussians that fill the view of one camera, ``mean_px`` pixels wide in the middle of the scene."""
    g = torch.Generator().manual_seed(0)
    focal = float(max(width, height))
    depth = 2 + 4 * torch.rand(count, generator=g)
    size = torch.tensor([width, height])
    place = torch.rand(count, 2, generator=g) * size - size / 2
    scales = (math.log(mean_px * 4 / focal) + 0.5 * torch.randn(count, 3, generator=g)).exp()
    return {
        "means": torch.cat([place * depth[:, None] / focal, depth[:, None]], -1),
        "quats": torch.randn(count, 4, generator=g),
        "scales": scales,
        "opacities": torch.rand(count, generator=g) * 0.9 + 0.05,
        "sh": 0.3 * torch.randn(count, 16, 3, generator=g),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]]),
    }


def file_scene(path: Path, width: int, height: int) -> dict[str, Tensor]:
    """A splat file seen from outside: a camera that looks at its middle and has most of it in view."""
    gaussians = Gaussians.load(path)
    middle = gaussians.means.median(0).values
    reach = float((gaussians.means - middle).norm(dim=-1).quantile(0.9))
    focal = float(max(width, height))
    viewmat = torch.eye(4)
    viewmat[:3, 3] = -middle
    viewmat[2, 3] += 2.5 * reach
    return {
        "means": gaussians.means,
        "quats": gaussians.quats,
        "scales": gaussians.scales,
        "opacities": gaussians.opacities,
        "sh": gaussians.sh,
        "viewmats": viewmat[None],
        "Ks": torch.tensor([[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]]),
    }


def projected(scene: dict[str, Tensor], width: int, height: int) -> tuple[Tensor, ...]:
    """radii, means2d, depths, conics of the scene's one camera, each [1, N, …]."""
    shape = (scene["means"], None, scene["quats"], scene["scales"])
    found = fully_fused_projection(
        *shape, scene["viewmats"], scene["Ks"], width, height, opacities=scene["opacities"]
    )
    return tuple(t for t in found[:4] if t is not None)


def workload_of(scene: dict[str, Tensor], width: int, height: int) -> dict[str, Any]:
    """The projected, sorted scene as the arguments of ``rasterize_to_pixels`` (a workload file's entries)."""
    radii, means2d, depths, conics = projected(scene, width, height)
    tiles = (TILE, -(-width // TILE), -(-height // TILE))
    opacities = scene["opacities"][None]
    _, isect_ids, flatten_ids = isect_tiles(
        means2d, radii, depths, *tiles, conics=conics, opacities=opacities
    )
    g = torch.Generator().manual_seed(1)
    return {
        "means2d": means2d[0].numpy(),
        "conics": conics[0].numpy(),
        "colors": torch.rand(len(scene["means"]), 3, generator=g).numpy(),
        "opacities": scene["opacities"].numpy(),
        "width": width,
        "height": height,
        "tile_size": TILE,
        "isect_offsets": isect_offset_encode(isect_ids, 1, *tiles[1:])[0].numpy().astype(np.int64),
        "flatten_ids": flatten_ids.numpy(),
        "v_render_colors": torch.randn(height, width, 3, generator=g).numpy(),
    }


def training(count: int, width: int, height: int) -> Callable[[], Any]:
    """A step of the default recipe on ``random_scene`` and a photo of noise: full size, all harmonics."""
    scene = random_scene(count, width, height)
    gaussians = Gaussians(
        scene["means"],
        scene["quats"],
        scene["scales"].log(),
        torch.logit(scene["opacities"]),
        scene["sh"],
    )
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    sides = (torch.tensor([width]), torch.tensor([height]))
    capture = Capture(
        [Photo("noise.png", width, height, lambda: Picture(noise))],
        "benchmark",
        Cameras(scene["viewmats"].double(), scene["Ks"].double(), *sides),
    )
    recipe = replace(
        get_recipe("default"),
        start=lambda capture, generator: gaussians,
        density=Fixed(),
        max_gaussians=None,
        pictures=((0.0, 1.0),),
        sh_every=0.0,
    )
    fit = Fit(capture, recipe, [0], seed=0)
    fit.begin()
    return fit.step
