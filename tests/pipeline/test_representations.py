"""Runs whose scene is decoded from something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.files import FOREST_FILE
from firstlight.scene import Gaussians


@pytest.mark.usefixtures("one_thread")
def test_a_run_stopped_while_it_was_measured_keeps_its_scene(tmp_path: Path) -> None:
    """What decodes it goes by the cameras that it was begun with; those in the folder are refined by now."""
    demo, folder = load_demo(with_cameras=True).select([8, 11, 14]), tmp_path / "run"
    asked: dict[str, Any] = {
        "steps": 20,
        "max_size": 48,
        "max_gaussians": 600,
        "hold_out": "none",
        "refine_cameras": True,
    }
    run = pipeline.fit(demo, "coherentgs", out=folder, **asked)
    scene, psnr = (folder / "scene.ply").read_bytes(), run.summary["psnr"]
    run.write(status="running", per_photo=[])
    again = pipeline.resume(folder, photos=demo)
    assert again.complete and again.summary["psnr"] == psnr
    assert (folder / "scene.ply").read_bytes() == scene


@pytest.mark.usefixtures("one_thread")
def test_a_forest_stands_beside_the_scene_that_it_decodes_to(tmp_path: Path) -> None:
    demo = load_demo(with_cameras=True)
    run = pipeline.fit(demo, "gaussianforest", out=tmp_path / "run", steps=60, max_size=48, max_gaussians=500)
    assert run.complete
    part = run.about["recipe"]["representation"]
    assert (part["part"], part["max_gaussians"]) == ("Trees", 500)
    scene, stored = run.scene, Gaussians.load(run.folder / FOREST_FILE)
    assert len(stored) == len(scene) <= 500
    # Leaves are stored tree by tree: the same colours, in another order.
    for mine, theirs in ((scene.rgb, stored.rgb), (scene.log_scales, stored.log_scales)):
        torch.testing.assert_close(
            mine.sort(0).values, theirs.sort(0).values, rtol=0, atol=0.03 * float(mine.std())
        )
