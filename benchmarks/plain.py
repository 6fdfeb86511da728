"""Plain 3DGS from another recipe's start: what a recipe is worth beyond how it begins."""

from dataclasses import replace

from firstlight.fitting import Recipe
from firstlight.recipes import RECIPES, get_recipe

SAME_START = "3dgs-same-start"


def plain_3dgs(recipe: Recipe) -> Recipe:
    """3DGS as published, its rates and growth, from the recipe's start and in as many steps."""
    return replace(
        get_recipe("vanilla"),
        start=recipe.start,
        geometry=recipe.geometry,
        steps=recipe.steps,
        few=None if recipe.few is None else plain_3dgs(recipe.few),
        few_photos=recipe.few_photos,
    )


# All that can be fetched by name, and plain 3DGS from the default's start.
KNOWN = RECIPES | {SAME_START: replace(plain_3dgs(get_recipe("default")), name=SAME_START)}
