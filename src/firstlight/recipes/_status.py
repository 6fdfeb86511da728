"""What can be said of a recipe by looking at its parts."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

from firstlight.fitting import Recipe
from firstlight.geometry import PROVIDERS
from firstlight.recipes import vanilla

# Fields of a recipe, and the stage of a fit that they belong to.
_STAGES = {
    "geometry": "geometry", "start": "start", "losses": "losses", "density": "density", "rates": "optimiser",
    "cameras": "cameras", "pictures": "pictures", "dilation": "pictures", "mollification": "pictures",
    "stop": "stopping", "co_training": "twin", "dropout": "rendering", "antialiased": "rendering",
    "sh_degree": "colour", "sh_every": "colour", "representation": "representation",
}  # fmt: skip


class Status(NamedTuple):
    """Of one recipe on this computer."""

    stages: tuple[str, ...]  # in which it differs from 3DGS
    needs: tuple[str, ...]  # packages beyond firstlight's own
    masks: bool  # whether it needs photos with masks
    licence: str  # of pretrained weights; "" where there are none
    works: str  # 'works', 'partial: …' or 'needs …'


def status(recipe: Recipe) -> Status:
    """Read from the recipe's parts and from what is installed; nothing of it is written down anywhere."""
    base = vanilla.RECIPE
    changed = [stage for name, stage in _STAGES.items() if getattr(recipe, name) != getattr(base, name)]
    provider = PROVIDERS.get(recipe.geometry or "")
    pretrained = provider is not None and provider.package is not None
    needs = recipe.needs + ((provider.package,) if provider is not None and provider.package else ())
    missing = [package for package in needs if find_spec(package) is None]
    if missing:
        works = f"needs {', '.join(missing)}"
    else:
        works = f"partial: {recipe.partial}" if recipe.partial else "works"
    licence = provider.licence if provider is not None and pretrained else ""
    return Status(tuple(dict.fromkeys(changed)), needs, recipe.needs_masks, licence, works)
