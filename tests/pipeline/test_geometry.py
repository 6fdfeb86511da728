"""Dense geometry as a stage of a run: asked for, kept, and found again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from firstlight import pipeline
from firstlight.errors import InputError
from firstlight.geometry import GEOMETRY_FILE
from firstlight.recipes import get_recipe
from firstlight.scene import Capture, Gaussians
from tests.geometry.demo import three, without_depth

STARTED: list[Capture] = []  # what each start was given


@dataclass(frozen=True)
class FromCloud:
    """A start that keeps what it was given."""

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        STARTED.append(capture)
        assert capture.cloud is not None
        cloud = capture.cloud.select(capture.cloud.confidences > 0.3)
        return Gaussians.isotropic(cloud.xyz, cloud.rgb.float() / 255, cloud.widths, 0.5)


def test_geometry_comes_before_the_start_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = without_depth(three())
    STARTED.clear()
    recipe = replace(get_recipe("vanilla"), name="dense", start=FromCloud(), geometry="stereo")
    run = pipeline.fit(capture, recipe, out=tmp_path / "run", steps=2, max_size=96)
    assert run.about["geometry"]["provider"] == "stereo"
    assert run.about["geometry"]["depth_known"] > 0.3
    (given,) = STARTED
    assert given.cloud is not None and set(given.cloud.photos.tolist()) == {0, 1, 2}
    assert all(photo.depth is not None and photo.confidence is not None for photo in given.photos)
    assert "Dense geometry" in (run.folder / "report.html").read_text()

    # A run that was stopped finds what it had found.
    for path in (run.folder / "checkpoints").glob("*"):
        path.unlink()
    run.write(status="stopped")
    monkeypatch.setattr(pipeline.stages, "find_geometry", None)
    pipeline.resume(run.folder, photos=capture, recipe=recipe)
    again = STARTED[-1].cloud
    assert len(STARTED) == 2 and again is not None
    assert torch.equal(again.xyz, given.cloud.xyz)


def test_names_are_checked_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No geometry is called"):
        pipeline.fit(three(), out=tmp_path / "run", geometry="crystal-ball")
    assert not (tmp_path / "run").exists()


def test_none_switches_a_recipes_geometry_off(tmp_path: Path) -> None:
    recipe = replace(get_recipe("vanilla"), geometry="stereo")
    run = pipeline.fit(three(), recipe, out=tmp_path / "run", steps=1, max_size=64, geometry="none")
    assert "geometry" not in run.about and not (run.folder / GEOMETRY_FILE).exists()
    assert run.about["recipe"]["geometry"] is None
