"""The whole way on the built-in photos, small and short: every stage does its part."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from firstlight import pipeline
from firstlight.capture import load_demo, load_demo_path
from firstlight.cli import main
from firstlight.fitting import Fit, fit_gaussians
from firstlight.fitting.model import PlainModel
from firstlight.losses import psnr
from firstlight.recipes import get_recipe
from firstlight.render import render_camera
from firstlight.scene import Split


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> pipeline.Run:
    folder = tmp_path_factory.mktemp("demo") / "run"
    assert main(["fit", "demo", "--out", str(folder), "--steps", "150", "--max-size", "160"]) == 0
    return pipeline.Run.open(folder)


def test_photos_without_cameras_become_a_scene(run: pipeline.Run) -> None:
    assert run.complete
    assert len(run.about["split"]["train"]) == 21 and len(run.about["split"]["test"]) == 3
    assert run.summary["psnr"] > 17.0, "a picture of the mean colour has 11 dB, an upside-down one less"
    assert run.summary["gaussians"] == len(run.scene) <= 40_000
    assert run.summary["peak_memory_mb"] > 0 and run.summary["lpips"] is None and run.summary["lpips_note"]
    assert {"load", "poses", "prepare", "fit", "evaluate", "report"} <= run.about["timings"].keys()


def test_the_folder_explains_itself(run: pipeline.Run) -> None:
    for name in ("scene.ply", "run.json", "metrics.jsonl", "poses.json", "report.html"):
        assert (run.folder / name).stat().st_size > 0
    poses = json.loads((run.folder / "poses.json").read_text())
    assert sum(photo["placed"] for photo in poses["photos"]) == 24
    for photo in run.about["per_photo"]:
        assert photo["held_out"] and all((run.folder / file).exists() for file in photo["files"].values())
    assert any("test_psnr" in line for line in (run.folder / "metrics.jsonl").read_text().splitlines())


def test_measuring_again_gives_the_same_numbers(run: pipeline.Run, tmp_path: Path) -> None:
    before, about = run.summary, dict(run.about)
    # A recipe may have changed since: the run goes on saying what it was made with.
    run.write(recipe={**about["recipe"], "steps": 7, "name": "gone"}, photos="not-here-any-more")
    assert main(["eval", str(run.folder)]) == 2
    told = ["eval", str(run.folder), "--photos", "demo", "--json", str(tmp_path / "numbers.json")]
    assert main(told) == 0
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    for metric in ("psnr", "ssim", "flip"):
        assert numbers["summary"][metric] == pytest.approx(before[metric], abs=1e-6)
    after = pipeline.Run.open(run.folder)
    assert after.about["timings"] == about["timings"] and after.summary["seconds"] == before["seconds"]
    assert after.about["recipe"] == {**about["recipe"], "steps": 7, "name": "gone"}
    run.write(recipe=about["recipe"], photos=about["photos"])


def test_views_that_no_photo_is_near() -> None:
    """With the exact cameras, pictures of the held-out path come out right."""
    capture, path = (
        pipeline.prepare(load_demo(with_cameras=True), 160),
        pipeline.prepare(load_demo_path(), 160),
    )
    recipe = get_recipe("default")
    split = Split(list(range(len(capture))), [])
    # Few steps of the recipe, at its rates: what is checked is geometry, not sharpness.
    fitted = fit_gaussians(capture, replace(recipe, steps=150), split)
    assert path.cameras is not None
    quality = []
    for index, photo in enumerate(path.photos):
        rendered = render_camera(fitted.gaussians, path.cameras.select([index]))[0]
        quality.append(psnr(rendered, torch.from_numpy(photo.decode().rgb)))
    assert sum(quality) / len(quality) > 16.0


def test_exposure_is_learned_from_training_photos_only() -> None:
    capture = pipeline.prepare(load_demo(with_cameras=True), 96)
    fit = Fit(capture, get_recipe("default"), [0, 1, 2], seed=0)
    fit.begin()
    assert isinstance(fit.model, PlainModel)
    for _ in range(6):
        fit.step()
    assert fit.exposure is not None
    identity = torch.eye(3, 4)
    assert torch.equal(fit.exposure.matrices[5].detach(), identity), "a photo that is not trained on"
    assert not torch.equal(fit.exposure.matrices[0].detach(), identity)
    torch.testing.assert_close(fit.exposure.matrices[:3].detach().mean(0), identity)
