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
    few_gaussians: float | None = None  # … of what it has for few photos, if that is another factor
    pictures: tuple[tuple[float, float], ...] | None = None  # coarse to fine, as in a recipe

    def of(self, recipe: Recipe) -> Recipe:
        """``recipe``, and what it has for few photos and for still fewer, at this quality."""
        most = budget(recipe)
        if most is not None and self.gaussians != 1:
            recipe = recipe.limited(max(1, round(self.gaussians * most)))
        kept = {"max_size": self.max_size, "geometry_size": self.geometry_size, "pictures": self.pictures}
        changed: dict[str, Any] = {name: value for name, value in kept.items() if value is not None}
        changed["few"] = None if recipe.few is None else self._for_few().of(recipe.few)
        return replace(recipe, steps=max(1, round(self.steps * recipe.steps)), **changed)

    def _for_few(self) -> Quality:
        return self if self.few_gaussians is None else replace(self, gaussians=self.few_gaussians)


# "standard" is a recipe as it stands: tune the recipe itself. Three photos of 1008 pixels are meant to take
# 15 seconds on two cores (draft), 40 (standard), four minutes (high); what they do take: docs/speed.md.
# Few photos at "high": shapes of three times as many Gaussians change too fast for so many to lie over each
# other. Three photos of fox, 1008 pixels: while they grew to 60,000 training photos fell from 26 to 8 dB, and
# held-out ones ended with 11.4; with 30,000 at 16.5 and 16.0 (two seeds), with 20,000 at 16.6, with 60,000
# and a third of the rates for shapes at 16.0. Standard has 16.4 and 16.6, rendered at 1008. The others (one
# seed), standard, 30,000, 60,000 at a third: fountain 20.0, 21.0, 19.9; fern 21.3, 21.3, 21.5; davis-train
# 18.4, 18.6, not tried. Six photos of fox at 320 pixels: 22.1 with 180,000, 21.9 with 90,000.
TABLE: dict[str, Quality] = {
    "draft": Quality(
        max_size=400,
        geometry_size=400,
        steps=0.4,
        gaussians=0.5,
        pictures=((0.0, 0.25), (0.3, 0.5), (0.7, 1.0)),
    ),
    STANDARD: Quality(),
    "high": Quality(max_size=1008, geometry_size=720, steps=3.0, gaussians=3.0, few_gaussians=1.5),
}
QUALITIES = tuple(TABLE)


def at_quality(recipe: Recipe, quality: str) -> Recipe:
    """``recipe`` worked out to ``quality``.

    InputError when no quality is called that.
    """
    if quality not in TABLE:
        raise InputError(f"No quality is called '{quality}'. There are: {', '.join(QUALITIES)}.")
    return TABLE[quality].of(recipe)


def budget(recipe: Recipe) -> int | None:
    """How many Gaussians ``recipe`` allows, as far as its parts say so."""
    inside = (
        getattr(part, "max_gaussians", None) for part in (recipe, recipe.representation, recipe.density)
    )
    return next((most for most in inside if isinstance(most, int)), None)
