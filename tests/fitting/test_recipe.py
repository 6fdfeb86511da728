from __future__ import annotations

import json

import pytest

from firstlight.errors import InputError
from firstlight.fitting import Rates
from firstlight.recipes import RECIPES, get_recipe


def test_means_rate_decays_exponentially_from_first_to_last() -> None:
    rates = Rates(means=1e-2, means_final=1e-4)
    first, half, last = (rates.at(f, extent=2.0)["means"] for f in (0.0, 0.5, 1.0))
    assert (first, half, last) == pytest.approx((2e-2, 2e-3, 2e-4))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda r: r.name)
def test_recipes_are_plain_data(recipe) -> None:
    described = recipe.to_dict()
    assert json.loads(json.dumps(described)) == described
    assert described["start"]["part"] and described["density"]["part"]
    assert recipe.scale_at(1.0) == 1.0, "the last steps must see the photos at full size"
    assert recipe.sh_degree_at(0.0) == 0 and recipe.sh_degree_at(1.0) == recipe.sh_degree


def test_unknown_name_lists_those_that_there_are() -> None:
    with pytest.raises(InputError, match="vanilla"):
        get_recipe("vanila")
