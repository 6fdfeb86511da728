"""How much a run takes on: ``firstlight fit --quality``. All that it changes is in the table here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from firstlight.errors import InputError
from firstlight.fitting import Recipe

STANDARD = "standard"


@dataclass(frozen=True)
class Quality:
    """What becomes of a recipe. What is None or 1 stays as the recipe has it."""

    max_size: int | None = None  # pixels of the photos' long side
    geometry_size: int | None = None  # … at which dense geometry is worked out, if any
    steps: float = 1.0  # times the recipe's own
    gaussians: float = 1.0  # times the recipe's own budget, if it has one
    pictures: tuple[tuple[float, float], ...] | None = None  # coarse to fine, as in a recipe

    def of(self, recipe: Recipe) -> Recipe:
        """``recipe`` at this quality."""
        most = budget(recipe)
        if most is not None and self.gaussians != 1:
            recipe = recipe.limited(max(1, round(self.gaussians * most)))
        kept = {"max_size": self.max_size, "geometry_size": self.geometry_size, "pictures": self.pictures}
        changed: dict[str, Any] = {name: value for name, value in kept.items() if value is not None}
        return replace(recipe, steps=max(1, round(self.steps * recipe.steps)), **changed)


# "standard" is a recipe as it stands: tune the recipe itself. Three photos of 1008 pixels are meant to take
# 15 seconds on two cores (draft), 40 (standard), four minutes (high); what they do take: docs/speed.md.
TABLE: dict[str, Quality] = {
    "draft": Quality(
        max_size=400,
        geometry_size=400,
        steps=0.4,
        gaussians=0.5,
        pictures=((0.0, 0.25), (0.3, 0.5), (0.7, 1.0)),
    ),
    STANDARD: Quality(),
    "high": Quality(max_size=1008, geometry_size=720, steps=3.0, gaussians=3.0),
}
QUALITIES = tuple(TABLE)


def at_quality(recipe: Recipe, quality: str) -> Recipe:
    """``recipe``, and what it has for few photos and for still fewer, worked out to ``quality``.

    InputError when no quality is called that.
    """
    if quality not in TABLE:
        raise InputError(f"No quality is called '{quality}'. There are: {', '.join(QUALITIES)}.")
    fewer = None if recipe.few is None else at_quality(recipe.few, quality)
    return replace(TABLE[quality].of(recipe), few=fewer)


def budget(recipe: Recipe) -> int | None:
    """How many Gaussians ``recipe`` allows, as far as its parts say so."""
    inside = (
        getattr(part, "max_gaussians", None) for part in (recipe, recipe.representation, recipe.density)
    )
    return next((most for most in inside if isinstance(most, int)), None)
