"""A recipe that has another for few photos: which one a run takes, says and goes on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.fitting.recipe import FEW
from firstlight.recipes import get_recipe
from firstlight.scene import Capture


def test_a_dozen_photos_are_few_and_four_fewer_still() -> None:
    many = get_recipe("default")
    assert many.few is not None and many.for_photos(FEW) is many.few and many.for_photos(FEW + 1) is many
    fewest = many.few.few
    assert fewest is not None and many.for_photos(4) is fewest and many.for_photos(5) is many.few
    assert many.variants == [many, many.few, fewest]
    vanilla = get_recipe("vanilla")
    assert vanilla.for_photos(3) is vanilla and vanilla.variants == [vanilla]


@pytest.fixture(scope="module")
def few() -> Capture:
    return load_demo(with_cameras=True).select([6, 8, 10, 12])


@pytest.fixture(scope="module")
def run(few: Capture, tmp_path_factory: pytest.TempPathFactory) -> pipeline.Run:
    out = tmp_path_factory.mktemp("few") / "run"
    return pipeline.fit(few, out=out, steps=8, max_gaussians=900, max_size=64)


def test_few_photos_get_the_recipe_for_few_with_all_that_was_asked_for(
    run: pipeline.Run, few: Capture
) -> None:
    asked = get_recipe("default").for_photos(len(few))
    recipe = run.about["recipe"]
    assert recipe["geometry"] == asked.geometry == "stereo" and recipe["dropout"] == asked.dropout
    assert recipe["steps"] == run.about["steps"] == 8 and recipe["max_gaussians"] == 900
    assert 0 < len(run.scene) <= 900 and run.about["geometry"]["provider"] == "stereo"


def test_it_goes_on_and_is_measured_again(run: pipeline.Run, few: Capture) -> None:
    before = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(before | {"status": "stopped"}))
    again = pipeline.resume(run.folder, photos=few)
    assert again.complete and again.about["recipe"] == before["recipe"]
    assert again.summary["psnr"] == pytest.approx(before["summary"]["psnr"], abs=1e-6)


def test_many_photos_do_not(tmp_path: Path) -> None:
    many = load_demo(with_cameras=True)
    run = pipeline.fit(many, out=tmp_path / "run", steps=2, max_size=48)
    assert run.about["recipe"]["dropout"] == get_recipe("default").dropout == 0.0
