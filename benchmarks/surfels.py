"""Surfels beside Gaussians: blending of the same scene by both kernels, and by the surfels' twin.

    python benchmarks/surfels.py --counts 10000 50000 --sizes 512x384

Passes take turns in one process, so that ratios hold on a machine that does other things; milliseconds are
the median. The twin sees ``--twin`` surfels only: it holds every surfel for every pixel of a tile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from workloads import TILE, projected, random_scene

from firstlight.render import (
    fully_fused_projection_2dgs,
    isect_offset_encode,
    isect_tiles,
    rasterize_to_pixels,
    rasterize_to_pixels_2dgs,
    twins,
)

Pass = Callable[[], tuple[float, float]]

# Without types: mypy cannot count tensors that are unpacked from a list.
_splat: Any = rasterize_to_pixels
_surfel: Any = rasterize_to_pixels_2dgs
_twin: Any = twins.rasterize_to_pixels_2dgs
_project: Any = fully_fused_projection_2dgs


def timed(forward: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds forward, and backward from the sum of all that comes out."""
    begin = time.perf_counter()
    maps = forward()
    middle = time.perf_counter()
    torch.autograd.backward(maps, [torch.ones_like(t) for t in maps])
    return 1e3 * (middle - begin), 1e3 * (time.perf_counter() - middle)


def passes(count: int, width: int, height: int, twin: int) -> dict[str, Pass]:
    """Blending RGB and depth of one scene: Gaussians, surfels, and a few surfels by both ways."""
    scene = random_scene(count, width, height)
    tiles = (TILE, -(-width // TILE), -(-height // TILE))
    rgb = torch.rand(1, count, 3, generator=torch.Generator().manual_seed(1))
    radii, means2d, depths, conics = projected(scene, width, height)
    opacities = scene["opacities"][None]
    _, isect_ids, ids = isect_tiles(means2d, radii, depths, *tiles, conics=conics, opacities=opacities)
    offsets = isect_offset_encode(isect_ids, 1, *tiles[1:])
    splats = _leaves(means2d, conics, torch.cat([rgb, depths[..., None]], -1), opacities)
    many, many_lists = _surfels(scene, count, rgb, width, height)
    few, few_lists = _surfels(scene, twin, rgb, width, height)
    size = (width, height, TILE)
    return {
        "Gaussians": lambda: timed(lambda: _splat(*splats, *size, offsets, ids)),
        "surfels": lambda: timed(lambda: _surfel(*many, torch.zeros_like(many[0]), *size, *many_lists)),
        f"{twin} surfels": lambda: timed(lambda: _surfel(*few, torch.zeros_like(few[0]), *size, *few_lists)),
        f"twin of {twin}": lambda: timed(lambda: _twin(*few, *size, *few_lists)),
    }


def _surfels(
    scene: dict[str, Tensor], count: int, rgb: Tensor, width: int, height: int
) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
    shapes = (scene[name][:count] for name in ("means", "quats", "scales"))
    cameras = scene["viewmats"], scene["Ks"]
    radii, means2d, depths, transforms, normals = _project(*shapes, *cameras, width=width, height=height)
    tiles = (TILE, -(-width // TILE), -(-height // TILE))
    reach = torch.where(radii > 0, radii.clamp(min=3), 0)
    _, isect_ids, ids = isect_tiles(means2d, reach, depths, *tiles)
    colors = torch.cat([rgb[:, :count], depths[..., None]], -1)
    opacities = scene["opacities"][None, :count]
    return (
        _leaves(means2d, transforms, colors, opacities, normals),
        (isect_offset_encode(isect_ids, 1, *tiles[1:]), ids),
    )


def _leaves(*tensors: Tensor) -> list[Tensor]:
    return [t.detach().clone().requires_grad_() for t in tensors]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--sizes", nargs="+", default=["512x384"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--twin", type=int, default=1000)
    options = parser.parse_args()
    for size in options.sizes:
        width, height = map(int, size.split("x"))
        for count in options.counts:
            turns = passes(count, width, height, options.twin)
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
            for k in range(options.rounds + 1):
                for name, turn in turns.items():
                    if k < 3 or not name.startswith("twin"):
                        taken[name].append(turn())
            print(f"{count} in {size}")
            base = np.median(taken["Gaussians"][1:], 0)
            for name, rows in taken.items():
                forward, backward = np.median(rows[1:], 0)
                ratios = f"{forward / base[0]:8.2f} {backward / base[1]:8.2f} of Gaussians"
                print(f"  {name:16} forward {forward:9.1f} ms, backward {backward:9.1f} ms  {ratios}")


if __name__ == "__main__":
    main()
