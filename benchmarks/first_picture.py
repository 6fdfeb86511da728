"""How soon a shared page shows its first picture in a browser that draws in software.

    python benchmarks/first_picture.py [SCENE] [--gaussians 200000] [--runs 3]

SCENE is a scene file or a run folder; without one, a scene is made up. It is brought to the wanted number of
Gaussians (the most visible ones are kept, or each is replaced by several within it), shared, and opened from
disk in a headless Chromium on SwiftShader. Milliseconds since the page was asked for: the first picture is
coarse and of the first chunk, the complete one is fine and of everything. Measure on an idle machine.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from firstlight.scene import Gaussians
from firstlight.scene.rotation import quat_to_rotmat
from firstlight.view import share

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser import CHROMIUM_ARGS, find_chromium

WIDTH, HEIGHT = 1280, 720  # of the window; the panel takes 250 pixels


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("scene", nargs="?", type=Path)
    parser.add_argument("--gaussians", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.ply"
        resized(made_up() if options.scene is None else load(options.scene), options.gaussians).save(path)
        began = time.perf_counter()
        shared = share(path, out=Path(folder) / "page.html")
        print(
            f"{shared.gaussians:,} Gaussians, ply {path.stat().st_size / 1e6:.1f} MB, page "
            f"{shared.bytes / 1e6:.1f} MB, written in {time.perf_counter() - began:.1f} s"
        )
        visits = [visit(shared.path) for _ in range(options.runs)]
    for name in ("first", "complete"):
        times = [each[name] for each in visits]
        print(f"{name:>8} picture: median {statistics.median(times):,.0f} ms of {times}")


def load(path: Path) -> Gaussians:
    return Gaussians.load(path / "scene.ply" if (path / "scene.ply").exists() else path)


def made_up() -> Gaussians:
    """Flat Gaussians on a sphere, coloured from everywhere: as much to do as a fitted scene has."""
    generator = torch.Generator().manual_seed(0)
    count = 50_000
    normals = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    quats = torch.randn(count, 4, generator=generator)
    log_scales = torch.tensor([-3.5, -4.0, -6.0]) + 0.5 * torch.randn(count, 3, generator=generator)
    sh = torch.cat([normals[:, None], 0.1 * torch.randn(count, 15, 3, generator=generator)], 1)
    return Gaussians(normals, quats, log_scales, torch.randn(count, generator=generator), sh)


def resized(scene: Gaussians, count: int) -> Gaussians:
    """The ``count`` that cover most, or parts drawn from each where there are too few."""
    if len(scene) >= count:
        weight = scene.opacities * scene.scales.sort(1).values[:, 1:].prod(1)
        return scene.select(weight.topk(count).indices)
    parts = math.ceil(count / len(scene))
    many = scene.select(torch.arange(len(scene)).repeat(parts)[:count])
    offsets = torch.randn(count, 3, generator=torch.Generator().manual_seed(1)) * many.scales
    many.means = many.means + (quat_to_rotmat(many.quats) @ offsets[:, :, None])[:, :, 0]
    many.log_scales = many.log_scales - math.log(1.6)  # as splitting does (Kerbl et al. 2023)
    return many


def visit(path: Path) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_ARGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(path.as_uri())
        page.wait_for_function("() => window.firstlight && window.firstlight.settled", timeout=300_000)
        times: dict[str, Any] = page.evaluate("() => firstlight.panes[0].times")
        browser.close()
    return times


if __name__ == "__main__":
    main()
