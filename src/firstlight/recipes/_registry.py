"""Recipes by name."""

from __future__ import annotations

from firstlight.errors import InputError
from firstlight.fitting import Recipe
from firstlight.recipes import (
    coherentgs,
    coherentgs_start,
    consistent,
    default,
    depth_reg,
    dropout,
    edgs,
    gaussianforest,
    gdgs,
    gp_gs,
    igmn_start,
    instantsplat,
    lm_gaussian,
    mcmc,
    nerf_distill,
    pointgs,
    protogs,
    random,
    robustsplat,
    sgpose,
    taming,
    turbo_gs,
    vanilla,
)

RECIPES: dict[str, Recipe] = {
    module.RECIPE.name: module.RECIPE
    for module in (
        default,
        vanilla,
        mcmc,
        random,
        taming,
        turbo_gs,
        consistent,
        dropout,
        igmn_start,
        edgs,
        instantsplat,
        coherentgs_start,
        nerf_distill,
        gdgs,
        gp_gs,
        pointgs,
        coherentgs,
        robustsplat,
        depth_reg,
        lm_gaussian,
        sgpose,
        protogs,
        gaussianforest,
    )
}


def get_recipe(name: str) -> Recipe:
    """The recipe called ``name``. InputError when there is none, naming those that there are."""
    if name not in RECIPES:
        raise InputError(f"No recipe is called '{name}'. There are: {', '.join(RECIPES)}.")
    return RECIPES[name]
