"""Time the rasteriser stage by stage: splats, pixels and threads; synthetic and real scenes; a yardstick.

    python benchmarks/rasterize.py --json FILE                    a grid of synthetic scenes, and scaling
    python benchmarks/rasterize.py --json FILE --scenes A.ply …   splat files as well
    python benchmarks/rasterize.py --json FILE --workload W.npz [--yardstick PATH/yardstick.py]
    python benchmarks/rasterize.py --json FILE --table docs/rasteriser.md    … and write the page and its plot

A workload file holds the arguments of ``rasterize_to_pixels`` (means2d, conics, colors, opacities, width,
height, tile_size, isect_offsets, flatten_ids) and v_render_colors for the backward pass. A yardstick is a
Python file with ``run(workload) -> (report, picture, gradients)`` that measures the same two passes natively;
it is timed in turn with ours, since nothing but the ratio says much on a shared computer.

Each synthetic scene runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from workloads import TILE, file_scene, milliseconds, projected, random_scene, training, workload_of

from firstlight.fitting import peak_memory_mb
from firstlight.pipeline import machine, versions
from firstlight.render import (
    fully_fused_projection,
    isect_tiles,
    rasterization,
    rasterize_to_pixels,
    splat_scores,
)
from firstlight.render._harmonics import view_colors
from firstlight.scene import Gaussians

SIZES = ((512, 384), (1024, 768), (1920, 1080))
COUNTS = (10_000, 50_000, 100_000, 200_000, 1_000_000)
SHAPE = ("means", "quats", "scales")


def blending(work: dict[str, Any], rounds: int) -> dict[str, Any]:
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
        found = blending(work, rounds)
        ours.append((found["forward_ms"], found["backward_ms"]))
    best, best_theirs = np.min(ours, 0), np.min(theirs, 0)
    v_means2d, v_conics, v_colors, v_opacities = found["gradients"]
    # For conics it keeps sums of v dx², v dx dy, v dy²; the exponent is -(a dx² + 2 b dx dy + c dy²) / 2.
    sums = v_conics / np.array([-0.5, -1, -0.5], np.float32)
    mine = np.concatenate([v_colors, v_opacities[:, None], v_means2d, sums], 1)
    scale = np.abs(gradients).max(0)
    return {
        "forward_ms": float(best[0]),
        "backward_ms": float(best[1]),
        "yardstick_forward_ms": float(best_theirs[0]),
        "yardstick_backward_ms": float(best_theirs[1]),
        "forward_ratio": float(best[0] / best_theirs[0]),
        "backward_ratio": float(best[1] / best_theirs[1]),
        "picture_difference": float(np.abs(found["picture"] - picture).max()),
        "gradient_difference": float((np.abs(mine - gradients).max(0) / scale).max()),
    }


def stages(scene: dict[str, Tensor], width: int, height: int, rounds: int) -> dict[str, float]:
    """Milliseconds of each stage, forward and backward, alone on what the stage before gave."""
    # Degree 3 throughout, whatever the file holds: what a fit pays in the end.
    degree = min(3, math.isqrt(scene["sh"].shape[1]) - 1)
    leaves = [scene[name].clone().requires_grad_() for name in (*SHAPE, "opacities", "sh")]
    means, quats, scales, opacities, sh = leaves
    viewmats, Ks = scene["viewmats"], scene["Ks"]
    project: Any = fully_fused_projection
    generator = torch.Generator().manual_seed(2)

    def projection() -> Any:
        return project(means, None, quats, scales, viewmats, Ks, width, height, opacities=opacities)

    radii, means2d, depths, conics = projected(scene, width, height)

    def colours() -> Tensor:
        return view_colors(means, viewmats, sh, degree, radii)

    def tiles() -> Any:
        across, down = -(-width // TILE), -(-height // TILE)
        listed: Any = isect_tiles
        return listed(
            means2d, radii, depths, TILE, across, down, conics=conics, opacities=opacities.detach()[None]
        )

    out = projection()
    floats = [out[1], out[2], out[3]]
    v_floats = [torch.randn(t.shape, generator=generator) for t in floats]
    shaded = colours()
    v_shaded = torch.randn(shaded.shape, generator=generator)
    grad = torch.autograd.grad
    return {
        "projection": milliseconds(projection, rounds),
        "harmonics": milliseconds(colours, rounds),
        "tiles": milliseconds(tiles, rounds),
        "projection_backward": milliseconds(
            lambda: grad(floats, leaves[:3], v_floats, retain_graph=True), rounds
        ),
        "harmonics_backward": milliseconds(
            lambda: grad(shaded, [means, sh], v_shaded, retain_graph=True), rounds
        ),
    }


def whole(scene: dict[str, Tensor], width: int, height: int, rounds: int) -> dict[str, float]:
    """One ``rasterization`` with spherical harmonics, forward, and forward and backward."""
    degree = min(3, math.isqrt(scene["sh"].shape[1]) - 1)
    leaves = [scene[name].clone().requires_grad_() for name in (*SHAPE, "opacities", "sh")]
    gradient = torch.randn(1, height, width, 3, generator=torch.Generator().manual_seed(2))
    render: Any = rasterization

    def forward() -> Tensor:
        picture: Tensor = render(
            *leaves, scene["viewmats"], scene["Ks"], width, height, sh_degree=degree, packed=False
        )[0]
        return picture

    def both() -> None:
        torch.autograd.grad(forward(), leaves, gradient)

    with torch.no_grad():
        meta = render(*leaves, scene["viewmats"], scene["Ks"], width, height, sh_degree=degree, packed=False)[
            2
        ]
    errors = gradient[..., 0].contiguous()
    return {
        "forward_ms": milliseconds(forward, rounds),
        "both_ms": milliseconds(both, rounds),
        "scores_ms": milliseconds(lambda: splat_scores(meta, errors), rounds),
    }


def measure(scene: dict[str, Tensor], width: int, height: int, rounds: int) -> dict[str, Any]:
    """All there is to say about one scene at one size."""
    entire = whole(scene, width, height, rounds)
    found = blending(workload_of(scene, width, height), rounds)
    blend = {key: found[key] for key in ("forward_ms", "backward_ms", "intersections")}
    return {
        "gaussians": len(scene["means"]),
        "width": width,
        "height": height,
        "threads": torch.get_num_threads(),
        "whole": entire,
        "blending": blend,
        "whole_over_blending": entire["both_ms"] / (blend["forward_ms"] + blend["backward_ms"]),
        "stages_ms": stages(scene, width, height, rounds),
        "peak_mb": peak_memory_mb(),
    }


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Steps of a fit as ``firstlight fit`` makes them: loss, every gradient, and both of Adam's moments."""
    step = training(request["gaussians"], request["width"], request["height"])
    return request | {"step_ms": milliseconds(step, request["rounds"]), "peak_mb": peak_memory_mb()}


def apart(request: dict[str, Any], threads: int) -> dict[str, Any]:
    """``measure`` or ``train`` in a process of its own with so many threads."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--one", json.dumps(request)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "step_ms" in found:
        print(
            f"{found['gaussians']:>9,} at {found['width']}×{found['height']}, {threads} threads: a step of "
            f"training {found['step_ms']:.0f} ms, {found['peak_mb']:.0f} MB",
            flush=True,
        )
    else:
        say(found)
    return found


def one(request: dict[str, Any]) -> None:
    """The process behind ``apart``."""
    size = (request["width"], request["height"])
    if request.get("training"):
        print(json.dumps(train(request)))
        return
    if "path" in request:
        scene = file_scene(Path(request["path"]), *size)
    else:
        scene = random_scene(request["gaussians"], *size)
    print(json.dumps(measure(scene, *size, request["rounds"])))


def say(found: dict[str, Any]) -> None:
    blend, entire = found["blending"], found["whole"]
    print(
        f"{found['gaussians']:>9,} at {found['width']}×{found['height']}, {found['threads']} threads: "
        f"blend {blend['forward_ms']:.1f} + {blend['backward_ms']:.1f} ms, whole {entire['forward_ms']:.1f} "
        f"forward, {entire['both_ms']:.1f} both ({found['whole_over_blending']:.2f}× blending), "
        f"{found['peak_mb']:.0f} MB",
        flush=True,
    )


def grid(args: argparse.Namespace) -> dict[str, Any]:
    """Every count at every size with all threads, one size with fewer, and the splat files."""
    for path in args.scenes:
        Gaussians.load(path)  # a file that cannot be read is better known before hours of timing
    threads = torch.get_num_threads()
    found: dict[str, Any] = {"grid": [], "threads": [], "scenes": {}, "training": []}
    request: dict[str, Any]
    for width, height in SIZES:
        for count in COUNTS:
            request = {"gaussians": count, "width": width, "height": height}
            request["rounds"] = args.rounds if count <= 200_000 else max(3, args.rounds // 3)
            found["grid"].append(apart(request, threads))
    for count in (200_000, 1_000_000):
        request = {"training": True, "gaussians": count, "width": SIZES[-1][0], "height": SIZES[-1][1]}
        found["training"].append(apart(request | {"rounds": 3}, threads))
    fewer = sorted({2**k for k in range(12) if 2**k < threads} | {threads})
    for number in fewer:
        request = {"gaussians": 200_000, "width": 1024, "height": 768, "rounds": args.rounds}
        found["threads"].append(apart(request, number))
    for path in args.scenes:
        print(path.name, flush=True)
        request = {"path": str(path), "width": 1024, "height": 768, "rounds": args.rounds}
        found["scenes"][path.name] = apart(request, threads)
    return found


def load_yardstick(path: Path) -> Any:
    if shutil.which("g++") is None:
        raise SystemExit("--yardstick needs g++, which is not here")
    spec = importlib.util.spec_from_file_location("yardstick", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def workload(args: argparse.Namespace) -> dict[str, Any]:
    """One workload file, beside the yardstick where there is one."""
    with np.load(args.workload, allow_pickle=False) as stored:
        work = dict(stored)
    found = blending(work, args.rounds)
    numbers = {key: found[key] for key in ("forward_ms", "backward_ms", "intersections")}
    if args.yardstick is not None:
        numbers |= beside_yardstick(work, load_yardstick(args.yardstick), args.rounds, args.turns)
    words = (f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items())
    print(f"{args.workload.stem}: {', '.join(words)}", flush=True)
    return {args.workload.stem: numbers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the numbers go; what it holds already is kept")
    parser.add_argument("--workload", type=Path, help="time this workload instead of the synthetic scenes")
    parser.add_argument("--yardstick", type=Path, help="a yardstick.py to time in turn (needs g++)")
    parser.add_argument("--scenes", type=Path, nargs="*", default=[], help="splat files to time as well")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--turns", type=int, default=3, help="how often ours and the yardstick take turns")
    parser.add_argument("--table", type=Path, help="write a page of all that the JSON file holds")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(json.loads(args.one))
        return
    if args.json is None:
        parser.error("--json FILE says where the numbers go")
    results: dict[str, Any] = json.loads(args.json.read_text()) if args.json.exists() else {}
    results |= {"machine": machine(), "versions": versions()}
    if args.workload is not None:
        results.setdefault("workloads", {}).update(workload(args))
    else:
        results.update(grid(args))
    args.json.write_text(json.dumps(results, indent=1) + "\n")
    if args.table is not None:
        from rasterize_page import write_page

        write_page(results, args.table)


if __name__ == "__main__":
    main()
