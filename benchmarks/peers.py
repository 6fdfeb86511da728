"""Ours beside every package on PyPI that renders Gaussians and can be installed where there is no GPU.

    pip install gsplat==1.5.3 gswarp splax "gausscam[webgpu]" litesplat      (in an environment of their own)
    python benchmarks/peers.py --json FILE [--table docs/rasteriser.md]

Each is given the same scene as firstlight, in a process of its own, with GPUs hidden. What it says when it
cannot run without one goes into the table as it is. Times are of the forward pass.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from rasterize_page import write_page
from torch import Tensor
from workloads import milliseconds, random_scene

from firstlight.pipeline.machine import machine, package_version, versions
from firstlight.render import rasterization, twins

Scene = dict[str, Tensor]
COUNT, WIDTH, HEIGHT = 1_000, 256, 192
NOTE = (
    f"The same {COUNT:,} Gaussians at {WIDTH}×{HEIGHT}, forward pass, packages from PyPI, GPUs hidden. "
    "OpenSplat and Brush are programs, not packages, and LichtFeld needs CUDA: none of them is in this table."
)


def ours(scene: Scene) -> float:
    render: Any = rasterization
    shape = (scene["means"], scene["quats"], scene["scales"], scene["opacities"])
    colors = torch.rand(COUNT, 3, generator=torch.Generator().manual_seed(3))
    cameras = (scene["viewmats"], scene["Ks"], WIDTH, HEIGHT)
    return milliseconds(lambda: render(*shape, colors, *cameras, packed=False), 21)


def plain_torch(scene: Scene) -> tuple[float, str]:
    render: Any = twins.rasterization
    shape = (scene["means"], scene["quats"], scene["scales"], scene["opacities"])
    colors = torch.rand(COUNT, 3, generator=torch.Generator().manual_seed(3))
    cameras = (scene["viewmats"], scene["Ks"], WIDTH, HEIGHT)
    return milliseconds(
        lambda: render(*shape, colors, *cameras), 3
    ), "our own twin in plain torch, all pixels × all splats"


def gsplat(scene: Scene) -> tuple[float, str]:
    render: Any = importlib.import_module("gsplat").rasterization
    shape = (scene["means"], scene["quats"], scene["scales"], scene["opacities"])
    colors = torch.rand(COUNT, 3)
    return milliseconds(
        lambda: render(*shape, colors, scene["viewmats"], scene["Ks"], WIDTH, HEIGHT), 3
    ), "runs"


def gswarp(scene: Scene) -> tuple[float, str]:
    theirs: Any = importlib.import_module("gswarp")
    focal = float(scene["Ks"][0, 0, 0])
    tan_x, tan_y = WIDTH / (2 * focal), HEIGHT / (2 * focal)
    near, far = 0.01, 100.0
    projection = torch.tensor(
        [
            [1 / tan_x, 0, 0, 0],
            [0, 1 / tan_y, 0, 0],
            [0, 0, far / (far - near), -far * near / (far - near)],
            [0, 0, 1, 0],
        ]
    )
    settings = theirs.GaussianRasterizationSettings(
        image_height=HEIGHT, image_width=WIDTH, tanfovx=tan_x, tanfovy=tan_y, bg=torch.zeros(3),
        scale_modifier=1.0, viewmatrix=scene["viewmats"][0].T.contiguous(),
        projmatrix=projection.T.contiguous(), sh_degree=0, campos=torch.zeros(3), prefiltered=False,
    )  # fmt: skip
    rasterizer = theirs.GaussianRasterizer(settings)
    means = scene["means"]

    def forward() -> Any:
        return rasterizer(
            means3D=means, means2D=torch.zeros_like(means), opacities=scene["opacities"][:, None],
            colors_precomp=torch.rand(COUNT, 3), scales=scene["scales"],
            rotations=torch.nn.functional.normalize(scene["quats"], dim=-1),
        )  # fmt: skip

    return milliseconds(forward, 3), "runs"


def splax(scene: Scene) -> tuple[float, str]:
    theirs: Any = importlib.import_module("splax")
    jnp: Any = importlib.import_module("jax.numpy")
    arrays = (
        scene["means"], scene["scales"].log(), scene["quats"], scene["sh"][:, :1], scene["opacities"].logit()
    )  # fmt: skip
    splats = [jnp.asarray(t.numpy()) for t in arrays]
    viewmat = jnp.asarray(scene["viewmats"][0].numpy())
    focal = float(scene["Ks"][0, 0, 0])

    def forward() -> Any:
        picture, _ = theirs.render(
            *splats, viewmat=viewmat, background=jnp.zeros(3), img_shape=(HEIGHT, WIDTH), f=(focal, focal)
        )
        return picture.block_until_ready()

    return milliseconds(forward, 3), "runs"


def gausscam(scene: Scene) -> tuple[float, str]:
    theirs: Any = importlib.import_module("gausscam.backends.webgpu")
    flip = np.array([1.0, -1.0, -1.0], np.float32)  # its cameras look along -z with y up
    fovy = 2 * np.degrees(np.arctan(HEIGHT / (2 * float(scene["Ks"][0, 0, 0]))))
    pipeline = theirs.Pipeline(
        {
            "xyz": scene["means"].numpy() * flip, "rot": scene["quats"].numpy(),
            "scale": scene["scales"].numpy(), "opacity": scene["opacities"].numpy(),
            "sh": np.zeros((COUNT, 3), np.float32),
            "slots": np.zeros(COUNT, np.int32), "W": np.int32(WIDTH), "H": np.int32(HEIGHT),
            "fovy": np.float32(fovy), "cam_pos": np.zeros((1, 3), np.float32),
            "cam_xmat": np.eye(3, dtype=np.float32)[None],
        },
        "",
        variant=theirs.pick_variant(""),
    )  # fmt: skip
    pipeline.set_links(np.zeros((1, 3), np.float32), np.array([[1.0, 0, 0, 0]], np.float32))
    return milliseconds(pipeline.render_frame, 3), "runs on a software Vulkan driver, forward only"


def litesplat(scene: Scene) -> tuple[float, str]:
    os.environ["KERAS_BACKEND"] = "torch"
    camera_model: Any = importlib.import_module("litesplat.core.camera_model")
    gaussian_model: Any = importlib.import_module("litesplat.core.gaussian_model")
    focal = float(scene["Ks"][0, 0, 0])
    camera = {
        "camera_id": 1, "model": "PINHOLE", "image_name": "", "width": WIDTH, "height": HEIGHT,
        "fx": focal, "fy": focal, "cx": WIDTH / 2, "cy": HEIGHT / 2,
        "rotation": np.eye(3).tolist(), "translation": [0, 0, 0],
    }  # fmt: skip
    columns = zip(
        scene["means"].tolist(),
        scene["quats"].tolist(),
        scene["scales"].tolist(),
        scene["opacities"].tolist(),
        strict=True,
    )
    records = [
        {"position": m, "color": [0.5, 0.5, 0.5], "rotation": q, "translation": m, "scale": s, "opacity": o}
        for m, q, s, o in columns
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "camera.json").write_text(json.dumps([camera]))
        (Path(folder) / "gaussians.json").write_text(json.dumps(records))
        layer = camera_model.CameraLayer(folder, gaussian_model.GaussianParameterLayer(folder))
        with torch.no_grad():
            ms = milliseconds(lambda: layer(inputs=(HEIGHT, WIDTH), render=False), 3)
    return ms, "runs, all pixels × all splats in Keras on torch"


PEERS: dict[str, Callable[[Scene], tuple[float, str]]] = {
    "gsplat": gsplat, "gswarp": gswarp, "splax": splax, "gausscam": gausscam, "litesplat": litesplat,
    "firstlight's twin": plain_torch,
}  # fmt: skip


def said(message: str) -> str:
    """A peer's last words, in one line, without this machine's paths."""
    words = (PurePath(w.rstrip(":")).name if w.startswith("/") else w for w in message.split())
    return f"does not run: {' '.join(words)[:160]}"


def one(name: str) -> dict[str, Any]:
    """What came of one peer: its time beside ours, or what it said."""
    installed = package_version("firstlight" if name not in PEERS or " " in name else name)
    row: dict[str, Any] = {"name": name, "version": installed}
    try:
        scene = random_scene(COUNT, WIDTH, HEIGHT, 4.0)
        theirs, note = PEERS[name](scene)
    except Exception as error:
        return row | {"note": said(f"{type(error).__name__}: {error}")}
    return row | {"note": note, "theirs_ms": theirs, "ours_ms": ours(scene)}


def apart(name: str) -> dict[str, Any]:
    """``one`` in a process of its own, since some peers end theirs."""
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "SCIPY_ARRAY_API": "1"}
    command = [sys.executable, __file__, "--one", name]
    try:
        done = subprocess.run(command, env=hidden, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return {"name": name, "version": package_version(name), "note": "does not end within 300 s"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"ends with status {done.returncode}"])[-1]
        return {"name": name, "version": package_version(name), "note": said(last)}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the numbers go; what it holds already is kept")
    parser.add_argument("--table", type=Path, help="write a page of all that the JSON file holds")
    parser.add_argument("--one", choices=PEERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args.one)))
        return
    if args.json is None:
        parser.error("--json FILE says where the numbers go")
    results: dict[str, Any] = json.loads(args.json.read_text()) if args.json.exists() else {}
    results.setdefault("machine", machine())
    results.setdefault("versions", versions())
    results["peers_note"], results["peers"] = NOTE, []
    for name in PEERS:
        row = apart(name)
        print(row, flush=True)
        results["peers"].append(row)
    args.json.write_text(json.dumps(results, indent=1) + "\n")
    if args.table is not None:
        write_page(results, args.table)


if __name__ == "__main__":
    main()
