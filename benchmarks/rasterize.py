"""Time the rasteriser, pass by pass, on synthetic workloads and beside what else runs on this computer.

    python benchmarks/rasterize.py --json FILE [--workload FILE.npz] [--yardstick PATH/yardstick.py]

A workload file holds the arguments of ``rasterize_to_pixels`` (means2d, conics, colors, opacities, width,
height, tile_size, isect_offsets, flatten_ids) and v_render_colors for the backward pass. A yardstick is a
Python file with ``run(workload) -> (report, picture, gradients)`` that measures the same two passes natively;
it is timed in turn with ours, since nothing but the ratio says much on a shared computer.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstlight.render import (
    fully_fused_projection,
    isect_offset_encode,
    isect_tiles,
    rasterization,
    rasterize_to_pixels,
    twins,
)

SYNTHETIC = ((10_000, 512, 384), (50_000, 512, 384), (200_000, 1008, 672))
STEP = (6_300, 504, 335)
TWIN_SPLATS = 300  # the twin holds splats × pixels in memory


def milliseconds(action: Callable[[], Any], rounds: int) -> float:
    """Median of ``rounds`` calls, after one to warm up."""
    action()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return 1e3 * float(np.median(times))


def random_scene(count: int, width: int, height: int, mean_px: float) -> dict[str, Tensor]:
    """Gaussians that fill the view of one camera, ``mean_px`` pixels wide in the middle of the scene."""
    g = torch.Generator().manual_seed(0)
    focal = float(max(width, height))
    depth = 2 + 4 * torch.rand(count, generator=g)
    place = (
        torch.rand(count, 2, generator=g) * torch.tensor([width, height]) - torch.tensor([width, height]) / 2
    )
    sizes = (math.log(mean_px * 4 / focal) + 0.5 * torch.randn(count, 3, generator=g)).exp()
    return {
        "means": torch.cat([place * depth[:, None] / focal, depth[:, None]], -1),
        "quats": torch.randn(count, 4, generator=g),
        "scales": sizes,
        "opacities": torch.rand(count, generator=g) * 0.9 + 0.05,
        "sh": 0.3 * torch.randn(count, 16, 3, generator=g),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]]),
    }


def workload_of(scene: dict[str, Tensor], width: int, height: int) -> dict[str, Any]:
    """The projected, sorted scene as a workload."""
    radii, means2d, depths, conics, _ = fully_fused_projection(
        scene["means"],
        None,
        scene["quats"],
        scene["scales"],
        scene["viewmats"],
        scene["Ks"],
        width,
        height,
        opacities=scene["opacities"],
    )
    tiles = (16, -(-width // 16), -(-height // 16))
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
        "tile_size": 16,
        "isect_offsets": isect_offset_encode(isect_ids, 1, *tiles[1:])[0].numpy().astype(np.int64),
        "flatten_ids": flatten_ids.numpy(),
        "v_render_colors": torch.randn(height, width, 3, generator=g).numpy(),
    }


def time_blending(work: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Forward and backward of ``rasterize_to_pixels`` through autograd; the picture and the gradients too."""
    leaves = [
        torch.from_numpy(np.ascontiguousarray(work[name], np.float32))[None].requires_grad_()
        for name in ("means2d", "conics", "colors", "opacities")
    ]
    size = (int(work["width"]), int(work["height"]), int(work["tile_size"]))
    offsets = torch.from_numpy(np.asarray(work["isect_offsets"]))[None].int()
    ids = torch.from_numpy(np.asarray(work["flatten_ids"])).int()
    gradient = torch.from_numpy(np.asarray(work["v_render_colors"], np.float32))[None]
    render: Any = rasterize_to_pixels

    def forward() -> Tensor:
        picture: Tensor = render(*leaves, *size, offsets, ids)[0]
        return picture

    picture = forward()

    def backward() -> tuple[Tensor, ...]:
        return torch.autograd.grad(picture, leaves, gradient, retain_graph=True)

    return {
        "forward_ms": milliseconds(forward, rounds),
        "backward_ms": milliseconds(backward, rounds),
        "intersections": len(ids),
        "picture": picture[0].detach().numpy(),
        "gradients": [g[0].numpy() for g in backward()],
    }


def beside_yardstick(work: dict[str, Any], yardstick: Any, rounds: int, turns: int) -> dict[str, Any]:
    """Ours and the yardstick in turn; the best of each, and how far the results lie apart."""
    ours, theirs = [], []
    for _ in range(turns):
        report, picture, gradients = yardstick.run(work)
        theirs.append((report["fwd_ms"], report["bwd_ms"]))
        found = time_blending(work, rounds)
        ours.append((found["forward_ms"], found["backward_ms"]))
    best, best_theirs = np.min(ours, 0), np.min(theirs, 0)
    v_means2d, _, v_colors, v_opacities = found["gradients"]
    mine = np.concatenate([v_colors, v_opacities[:, None], v_means2d], 1)
    scale = np.abs(gradients[:, :6]).max(0)
    return {
        "forward_ms": float(best[0]),
        "backward_ms": float(best[1]),
        "yardstick_forward_ms": float(best_theirs[0]),
        "yardstick_backward_ms": float(best_theirs[1]),
        "forward_ratio": float(best[0] / best_theirs[0]),
        "backward_ratio": float(best[1] / best_theirs[1]),
        "picture_difference": float(np.abs(found["picture"] - picture).max()),
        "gradient_difference": float((np.abs(mine - gradients[:, :6]).max(0) / scale).max()),
    }


def time_step(scene: dict[str, Tensor], width: int, height: int, rounds: int) -> dict[str, float]:
    """A whole ``rasterization`` with degree-3 harmonics, forward and backward."""
    leaves = [
        scene[name].clone().requires_grad_() for name in ("means", "quats", "scales", "opacities", "sh")
    ]
    gradient = torch.randn(1, height, width, 3, generator=torch.Generator().manual_seed(2))
    render: Any = rasterization

    def forward() -> Tensor:
        picture: Tensor = render(*leaves, scene["viewmats"], scene["Ks"], width, height, sh_degree=3)[0]
        return picture

    def both() -> None:
        torch.autograd.grad(forward(), leaves, gradient)

    forward_ms = milliseconds(forward, rounds)
    return {"forward_ms": forward_ms, "both_ms": milliseconds(both, rounds)}


def time_twin(rounds: int) -> dict[str, float]:
    """Kernels and plain torch on the same few splats, forward and backward."""
    width, height = 256, 192
    scene = random_scene(TWIN_SPLATS, width, height, 6.0)
    ours = time_step(scene, width, height, rounds)["both_ms"]
    leaves = [
        scene[name].clone().requires_grad_() for name in ("means", "quats", "scales", "opacities", "sh")
    ]
    twin: Any = twins.rasterization

    def both() -> None:
        picture, _ = twin(*leaves, scene["viewmats"], scene["Ks"], width, height, sh_degree=3)
        torch.autograd.grad(picture.sum(), leaves)

    theirs = milliseconds(both, 3)
    return {"kernels_ms": ours, "plain_torch_ms": theirs, "ratio": theirs / ours}


def time_gsplat(scene: dict[str, Tensor], width: int, height: int, rounds: int) -> dict[str, Any]:
    """The same call to gsplat, where it is installed and finds a GPU."""
    if importlib.util.find_spec("gsplat") is None:
        return {"missing": "gsplat is not installed"}
    if not torch.cuda.is_available():
        return {"missing": "gsplat has no CPU path and there is no CUDA device"}
    gsplat: Any = importlib.import_module("gsplat")
    moved = {name: tensor.cuda() for name, tensor in scene.items()}
    leaves = [moved[name].requires_grad_() for name in ("means", "quats", "scales", "opacities", "sh")]

    def both() -> None:
        picture = gsplat.rasterization(*leaves, moved["viewmats"], moved["Ks"], width, height, sh_degree=3)[0]
        torch.autograd.grad(picture.sum(), leaves)
        torch.cuda.synchronize()

    return {"both_ms": milliseconds(both, rounds)}


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("yardstick", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _say(name: str, numbers: dict[str, Any]) -> None:
    shown = (
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in numbers.items()
    )
    print(f"{name}: {', '.join(shown)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="where the numbers go")
    parser.add_argument("--workload", type=Path, help="time this workload instead of the synthetic ones")
    parser.add_argument("--yardstick", type=Path, help="a yardstick.py to time in turn (needs g++)")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--turns", type=int, default=3, help="how often ours and the yardstick take turns")
    args = parser.parse_args()
    yardstick = None
    if args.yardstick is not None:
        if shutil.which("g++") is None:
            raise SystemExit("--yardstick needs g++, which is not here")
        yardstick = _load(args.yardstick)
    results: dict[str, Any] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
        },
        "workloads": {},
    }

    def blending(name: str, work: dict[str, Any]) -> None:
        found = time_blending(work, args.rounds)
        numbers = {key: found[key] for key in ("forward_ms", "backward_ms", "intersections")}
        if yardstick is not None:
            numbers |= beside_yardstick(work, yardstick, args.rounds, args.turns)
        results["workloads"][name] = {"blending": numbers}
        _say(f"{name} blending", numbers)

    if args.workload is not None:
        with np.load(args.workload, allow_pickle=False) as stored:
            blending(args.workload.stem, dict(stored))
    else:
        for count, width, height in (STEP, *SYNTHETIC):
            scene = random_scene(count, width, height, 8.0 if (count, width, height) == STEP else 2.0)
            name = f"{count}@{width}x{height}"
            blending(name, workload_of(scene, width, height))
            step = time_step(scene, width, height, args.rounds)
            results["workloads"][name] |= {
                "step": step,
                "gsplat": time_gsplat(scene, width, height, args.rounds),
            }
            _say(f"{name} whole step", step)
        results["twin"] = time_twin(args.rounds)
        _say("plain torch", results["twin"])
    args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
