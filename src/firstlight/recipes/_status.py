"""What can be said of a recipe by looking at its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from importlib.util import find_spec
from typing import Any, NamedTuple

from firstlight.fitting import Recipe
from firstlight.geometry import weights_for
from firstlight.pretrained import Use, UsesPretrained
from firstlight.recipes import vanilla

# Fields of a recipe, and the stage of a fit that they belong to.
_STAGES = {
    "geometry": "geometry", "start": "start", "losses": "losses", "density": "density", "rates": "optimiser",
    "cameras": "cameras", "pictures": "pictures", "dilation": "pictures", "mollification": "pictures",
    "stop": "stopping", "co_training": "twin", "dropout": "rendering", "antialiased": "rendering",
    "sh_degree": "colour", "sh_every": "colour", "exposure": "colour", "representation": "representation",
}  # fmt: skip


class Status(NamedTuple):
    """Of one recipe on this computer."""

    stages: tuple[str, ...]  # in which it differs from 3DGS
    needs: tuple[str, ...]  # packages beyond firstlight's own
    masks: bool  # whether it needs photos with masks
    weights: tuple[Use, ...]  # pretrained ones that it can use, or needs
    works: str  # 'works', 'partial: …', 'needs weights: …' or 'needs …'


def status(recipe: Recipe) -> Status:
    """Read from the recipe's parts and from what is installed; nothing of it is written down anywhere."""
    base = vanilla.RECIPE
    changed = [stage for name, stage in _STAGES.items() if getattr(recipe, name) != getattr(base, name)]
    uses = _uses(recipe)
    packages = [name for use in uses if use.needed for one in use.choices for name in one.packages]
    needs = tuple(dict.fromkeys((*recipe.needs, *packages)))
    works = _works(recipe, needs, uses)
    return Status(tuple(dict.fromkeys(changed)), needs, recipe.needs_masks, uses, works)


def _works(recipe: Recipe, needs: tuple[str, ...], uses: tuple[Use, ...]) -> str:
    missing = [package for package in needs if find_spec(package) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    absent = [use for use in uses if not use.at_hand]
    wanted = [use.choices[0].name for use in absent if use.needed]
    if wanted:
        return f"needs weights: {', '.join(wanted)}, fetched when it is first fitted"
    gaps = [f"{use.choices[0].name} is not at hand: {use.instead}." for use in absent if not use.option]
    partial = " ".join([*gaps, *([recipe.partial] if recipe.partial else [])])
    return f"partial: {partial}" if partial else "works"


def _uses(recipe: Recipe) -> tuple[Use, ...]:
    """What its parts say, those for few photos among them, and what options would bring."""
    found = [use for one in recipe.variants for use in weights_for(one.geometry)]
    for part in _parts(replace(recipe, repair=None)):
        if isinstance(part, UsesPretrained):
            found += part.pretrained
    if recipe.repair is not None:
        not_repaired = "views between the photos are not repaired"
        found += [replace(use, option="--repair", instead=not_repaired) for use in recipe.repair.pretrained]
    return tuple(dict.fromkeys(found))


def _parts(value: Any) -> Iterator[Any]:
    """All dataclasses in a recipe, or in a part of one."""
    if isinstance(value, tuple):
        for one in value:
            yield from _parts(one)
    elif is_dataclass(value):
        yield value
        for inside in fields(value):
            yield from _parts(getattr(value, inside.name))
