"""What a run is asked for, and what that makes of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from firstlight.errors import InputError
from firstlight.fitting import CameraRefinement, Recipe, RepairedViews
from firstlight.geometry import get_provider
from firstlight.pipeline.run_folder import Run
from firstlight.recipes import STANDARD, at_quality, get_recipe
from firstlight.repair import get_repairer
from firstlight.scene import HoldOut

PosedBy = Literal["all", "train"]


def as_hold_out(asked: HoldOut | Sequence[str]) -> HoldOut | tuple[str, ...]:
    """A rule as it is; one name, or several, as names."""
    if asked == "every8" or asked == "none":
        return asked
    return (asked,) if isinstance(asked, str) else tuple(asked)


@dataclass(frozen=True)
class Options:
    """What a run was asked for; kept in ``run.json`` so that it can go on."""

    recipe: str = "default"
    quality: str = STANDARD  # of recipes.QUALITIES
    views: int | None = None
    steps: int | None = None  # this and the next two: instead of what recipe and quality say
    max_gaussians: int | None = None
    max_size: int | None = None
    minutes: float | None = None  # of the whole run, instead of steps
    hold_out: HoldOut | tuple[str, ...] = "every8"
    seed: int = 0
    poses: PosedBy = "all"
    refine_cameras: bool = False
    geometry: str | None = None  # instead of the recipe's; 'none' for none
    repair: str | None = None  # of virtual views
    matcher: str = "sift"  # of poses.MATCHERS

    def __post_init__(self) -> None:
        check_seed(self.seed)


def check_seed(seed: int) -> None:
    """InputError for one that some generator on the way would not take: COLMAP's are of 31 bits."""
    if not 0 <= seed < 2**31:
        raise InputError(f"A seed of {seed}: expected 0 to {2**31 - 1:,}.")


def check_max_size(max_size: int | None) -> None:
    """InputError for photos too small to learn from; None leaves the size to the recipe."""
    if max_size is not None and max_size < 16:
        raise InputError(f"Photos of {max_size} pixels: expected a --max-size of at least 16.")


def stored_options(run: Run) -> Options:
    """The options that ``run`` began with."""
    try:
        stored = dict(run.about["options"])
        if isinstance(stored.get("hold_out"), list):
            stored["hold_out"] = tuple(stored["hold_out"])
        return Options(**stored)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{run.folder}: its run.json is not of this version of firstlight ({error})."
        ) from error


def recipe_for(recipe: str | Recipe, options: Options) -> Recipe:
    """The recipe, and the one it has for few photos, with what the run was asked for."""
    known = get_recipe(recipe) if isinstance(recipe, str) else recipe
    return _changed(at_quality(known, options.quality), options)


def _changed(chosen: Recipe, options: Options) -> Recipe:
    if chosen.few is not None:
        chosen = replace(chosen, few=_changed(chosen.few, options))
    if options.refine_cameras and chosen.cameras is None:
        chosen = replace(chosen, cameras=CameraRefinement())
    if options.geometry is not None:
        chosen = replace(chosen, geometry=None if options.geometry == "none" else options.geometry)
    if chosen.geometry is not None:
        get_provider(chosen.geometry)  # better now than after minutes
    if options.repair is not None:
        get_repairer(options.repair)
        repaired = replace(chosen.repair or RepairedViews(), model=options.repair)
        chosen = replace(chosen, losses=(*chosen.losses, repaired))
    if options.max_gaussians is not None:
        chosen = chosen.limited(options.max_gaussians)
    if options.max_size is not None:
        chosen = replace(chosen, max_size=options.max_size)
    return chosen if options.steps is None else replace(chosen, steps=options.steps)
