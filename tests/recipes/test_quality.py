"""Qualities: a recipe in other proportions, and what a user says by hand wins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.errors import InputError
from firstlight.fitting.recipe import FEW
from firstlight.recipes import QUALITIES, RECIPES, STANDARD, at_quality, budget, get_recipe
from firstlight.recipes.quality import TABLE, Quality


def test_standard_is_the_recipe_itself() -> None:
    assert all(at_quality(recipe, STANDARD) == recipe for recipe in RECIPES.values())


@pytest.mark.parametrize("photos", [3, FEW, FEW + 1])
def test_each_quality_takes_on_more_than_the_one_before(photos: int) -> None:
    recipe = get_recipe("default")
    worked = [at_quality(recipe, quality).for_photos(photos) for quality in ("draft", STANDARD, "high")]
    amounts = [(one.max_size, one.steps, budget(one) or 0) for one in worked]
    assert all(a < b < c for a, b, c in zip(*amounts, strict=True))
    assert {one.dropout for one in worked} == {recipe.for_photos(photos).dropout}


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda r: r.name)
def test_any_recipe_can_be_had_at_any_quality(recipe, quality: str) -> None:
    for photos in (3, FEW, FEW + 1):
        worked, plain = at_quality(recipe, quality).for_photos(photos), recipe.for_photos(photos)
        assert worked.steps == round(TABLE[quality].steps * plain.steps)
        assert worked.scale_at(1.0) == 1.0, "the last steps must see the photos at full size"
        most = budget(plain)
        times = TABLE[quality].gaussians
        if plain is not recipe:
            times = TABLE[quality].few_gaussians or times
        assert budget(worked) == (None if most is None else round(times * most))


def test_high_has_a_factor_of_its_own_for_few_photos() -> None:
    recipe = get_recipe("default")
    high = at_quality(recipe, "high")
    counts = (3, FEW, FEW + 1)
    times = [(budget(high.for_photos(n)) or 0) / (budget(recipe.for_photos(n)) or 1) for n in counts]
    assert times == [1.5, 1.5, 3.0], "60,000 Gaussians for three photos ruined fox: see TABLE"


def test_unknown_quality_lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="standard"):
        pipeline.fit("demo", quality="best", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_its_quality_and_what_was_said_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Quality(max_size=64, geometry_size=56, steps=0.01, gaussians=0.05)
    monkeypatch.setitem(TABLE, "draft", small)
    photos = load_demo(with_cameras=True).select([6, 8, 10, 12])
    run = pipeline.fit(photos, out=tmp_path / "run", quality="draft", max_gaussians=700, hold_out="none")
    few = get_recipe("default").for_photos(4)
    recipe, options = run.about["recipe"], run.about["options"]
    assert options["quality"] == "draft" and options["max_size"] is None
    assert recipe["max_size"] == 64 and recipe["geometry_size"] == 56
    assert recipe["max_gaussians"] == 700 and run.summary["steps"] == round(0.01 * few.steps)
    assert {photo["width"] for photo in run.about["per_photo"]} == {64}

    run.write(status="stopped")
    again = pipeline.resume(run.folder, photos=photos)
    assert again.complete and again.about["recipe"] == recipe

    run.write(status="stopped")
    monkeypatch.setitem(TABLE, "draft", replace(small, steps=0.02))
    with pytest.raises(InputError, match="changed"):
        pipeline.resume(run.folder, photos=photos)
