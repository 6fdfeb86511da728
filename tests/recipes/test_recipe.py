"""Recipes: plain data, different from each other, and each of them trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from claims.sgpose import read

from firstlight.capture import load_demo
from firstlight.errors import InputError
from firstlight.fitting import Fit, Photometric, Rates, Recipe, RepairedViews, WithoutTransients
from firstlight.geometry import Effort, Stereo, densify
from firstlight.pipeline import prepare
from firstlight.recipes import RECIPES, get_recipe, status
from firstlight.scene import Capture, Points

# Under their names, and under "default" those for few photos too.
ALL = [variant for recipe in RECIPES.values() for variant in recipe.variants]


def test_means_rate_decays_exponentially_from_first_to_last() -> None:
    rates = Rates(means=1e-2, means_final=1e-4)
    first, half, last = (rates.at(f, extent=2.0)["means"] for f in (0.0, 0.5, 1.0))
    assert (first, half, last) == pytest.approx((2e-2, 2e-3, 2e-4))


def test_means_without_a_last_rate_hold_and_cool_down_with_the_others() -> None:
    rates = Rates(means=1e-2, means_final=None, cooldown=0.5)
    assert [rates.at(f, extent=2.0)["means"] for f in (0.0, 0.5, 0.75, 1.0)] == [2e-2, 2e-2, 1e-2, 0.0]


def test_means_that_begin_late_wait_for_the_others() -> None:
    """EDGS (Kotovenko et al. 2025): the rate is that of step 8,000 of 30,000 until then."""
    usual, late = Rates(), Rates(means_late=8 / 30)
    for fraction in (0.0, 0.1, 8 / 30):
        assert late.at(fraction, 1.0)["means"] == usual.at(8 / 30, 1.0)["means"]
    assert late.at(0.5, 1.0) == usual.at(0.5, 1.0)


def test_rates_cool_down_linearly_at_the_end_but_the_means_have_their_own_course() -> None:
    usual, cooled = Rates(), Rates(cooldown=0.25)
    assert cooled.at(0.75, 1.0) == usual.at(0.75, 1.0)
    late = cooled.at(0.9, 1.0)
    for name in ("quats", "log_scales", "logit_opacities", "sh", "sh_rest"):
        assert late[name] == pytest.approx(0.4 * usual.at(0.9, 1.0)[name])
    assert late["means"] == usual.at(0.9, 1.0)["means"]
    assert cooled.at(1.0, 1.0)["quats"] == 0.0


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: r.name)
def test_recipes_are_plain_data(recipe) -> None:
    described = recipe.to_dict()
    assert json.loads(json.dumps(described)) == described
    assert described["start"]["part"] and described["density"]["part"]
    assert recipe.scale_at(1.0) == 1.0, "the last steps must see the photos at full size"
    assert recipe.sh_degree_at(0.0) == 0 and recipe.sh_degree_at(1.0) == recipe.sh_degree


def test_unknown_name_lists_those_that_there_are() -> None:
    with pytest.raises(InputError, match="vanilla"):
        get_recipe("vanila")


def test_no_recipe_is_another_one_under_a_new_name() -> None:
    methods = [json.dumps(recipe.method()) for recipe in ALL]
    assert len(set(methods)) == len(methods)
    vanilla = get_recipe("vanilla")
    alias = replace(vanilla, name="new", summary="New!", steps=7, max_size=99, few=get_recipe("mcmc"))
    assert alias.method() == vanilla.method() != replace(vanilla, sh_degree=1).method()


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: r.name)
def test_a_recipe_knows_its_description_and_no_other(recipe) -> None:
    said = json.loads(json.dumps(recipe.to_dict()))
    assert [other.name for other in ALL if other.has_method(said)] == [recipe.name]
    said |= {"summary": "old words", "steps": 7}
    assert recipe.has_method(said)
    assert not recipe.has_method(said | {"gone": 1}), "a setting that there is no longer"
    assert not recipe.has_method({}) and not recipe.has_method(None)


def test_a_setting_that_a_description_lacks_was_plain() -> None:
    vanilla, default = get_recipe("vanilla"), get_recipe("default")

    def without_cooldown(recipe: Recipe) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(json.dumps(recipe.to_dict()))
        del said["rates"]["cooldown"]
        return said

    assert vanilla.rates.cooldown == 0.0 < default.rates.cooldown
    assert vanilla.has_method(without_cooldown(vanilla))
    assert not default.has_method(without_cooldown(default))


@pytest.fixture(scope="module")
def demo() -> Capture:
    """Six photos with cameras, sparse points and dense geometry, tiny."""
    capture = prepare(load_demo(with_cameras=True).select(range(0, 24, 4)), 96)
    capture = densify(capture, Stereo(Effort()), max_size=96)
    cloud = capture.cloud
    assert cloud is not None
    some = cloud.select(torch.arange(0, len(cloud), 20))
    return replace(
        capture, points=Points(some.xyz.double(), some.rgb, torch.full((len(some),), 0.5).double())
    )


def books() -> Capture:
    """Photos of one object with its outline, for the recipe that needs it."""
    return read("books", "train").resized(96)


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: r.name)
def test_every_recipe_trains_within_its_budget(recipe: Recipe, demo: Capture) -> None:
    # Eight times the papers' rates: in so few steps theirs would move next to nothing.
    rates = Rates(means=1.3e-3, quats=8e-3, log_scales=4e-2, sh=2e-2)
    short = replace(recipe.limited(2000), steps=120, pictures=((0.0, 1.0),), rates=rates)
    photos = books() if recipe.needs_masks else demo
    fit = Fit(photos, short, list(range(6)), seed=0)
    fit.begin()
    losses = []
    for _ in range(120):
        losses.append(fit.step().loss)
        assert len(fit.model) <= 2000
    # From anywhere in a cube three times as large as the cameras' reach, this is only the beginning.
    wanted = 0.99 if recipe.name == "random" else 0.9
    assert sum(losses[-12:]) < wanted * sum(losses[:12])
    assert all(tensor.isfinite().all() for tensor in fit.model.gaussians)


def test_status_is_read_from_the_parts() -> None:
    assert status(get_recipe("vanilla")).stages == () and status(get_recipe("vanilla")).works == "works"
    assert "start" in status(get_recipe("random")).stages
    assert status(get_recipe("taming")).works.startswith("partial: ")
    assert [name for name, recipe in RECIPES.items() if status(recipe).masks] == ["sgpose"]
    missing = replace(get_recipe("edgs"), needs=("no_such_package",))
    assert status(missing).works == "needs no_such_package"


def hub(folder: Path, models: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the Hugging Face hub in ``folder`` that holds weights of ``models``."""
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    for model in models:
        place = folder / f"models--{model.replace('/', '--')}" / "snapshots" / "0"
        place.mkdir(parents=True)
        (place / "model.safetensors").touch()


def test_status_of_weights_is_what_is_on_this_computer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    robust, network = (
        get_recipe("robustsplat"),
        replace(get_recipe("edgs"), geometry="depth-anything-v2-base"),
    )
    hub(tmp_path, [], monkeypatch)
    assert status(network).needs == ("transformers",)
    assert status(network).works.startswith("needs weights: depth-anything-v2-base")
    assert "dinov2 is not at hand: histograms" in status(robust).works
    hub(
        tmp_path,
        ["depth-anything/Depth-Anything-V2-Base-hf", "facebook/dinov2-with-registers-small"],
        monkeypatch,
    )
    assert status(network).works.startswith("partial: Matches come") and status(network).weights[0].at_hand
    assert status(robust).works == "partial: Opacities are never reset."


def test_status_names_all_weights_that_parts_declare() -> None:
    def said(name: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Of a recipe: option → what stands in, and licences."""
        return {use.option: (use.instead, use.licences) for use in status(get_recipe(name)).weights}

    assert said("vanilla") == {}
    ((stand_in, licences),) = said("robustsplat").values()
    assert stand_in.startswith("histograms") and licences == ("Apache-2.0",)
    assert said("default")["--geometry"][0] == "stereo"
    assert {"Apache-2.0", "MIT", "CC BY-NC 4.0", "CC BY-NC-SA 4.0"} == set(said("default")["--geometry"][1])
    assert said("nerf-distill")["--geometry"][0] == "radiance-field"
    assert said("lm-gaussian")["--repair"][1] == ("CreativeML OpenRAIL-M",)
    histograms = replace(get_recipe("robustsplat"), losses=(WithoutTransients(features="histograms"),))
    assert status(histograms).weights == ()
    repaired = replace(get_recipe("vanilla"), losses=(Photometric(), RepairedViews()))
    assert [use.needed for use in status(repaired).weights] == [True]
