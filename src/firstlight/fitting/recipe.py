"""A method as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from typing import Any

import torch

from firstlight.density import Strategy
from firstlight.fitting.blurring import Mollification
from firstlight.fitting.cameras import CameraRefinement
from firstlight.fitting.co_training import CoTraining
from firstlight.fitting.guidance import StartGuidance
from firstlight.fitting.model import Representation
from firstlight.fitting.repaired_views import RepairedViews
from firstlight.fitting.stopping import DepthStop
from firstlight.fitting.terms import Photometric, Term
from firstlight.scene import Capture, Gaussians

Start = Callable[[Capture, torch.Generator], Gaussians]
_NO_METHOD = {"name", "summary", "paper", "partial", "needs", "steps", "max_size", "few", "few_photos"}
FEW = 12  # photos: up to so many a recipe may have another in its place


@dataclass(frozen=True)
class Rates:
    """Adam's learning rates (Kerbl et al. 2023). Those of the means are in units of the scene's extent."""

    means: float = 1.6e-4
    # Reached, exponentially, at the last step; None: they hold, and cool down with the others.
    means_final: float | None = 1.6e-6
    means_late: float = 0.0  # of the steps: until then the means move as slowly as they will there
    quats: float = 1e-3
    log_scales: float = 5e-3
    logit_opacities: float = 5e-2
    sh: float = 2.5e-3
    sh_rest: float = 2.5e-3 / 20
    exposure: float = 1e-3
    features: float = 2.5e-3  # vectors that Gaussians are decoded from, where a representation has some
    network: float = 1e-3  # weights that decode them
    network_final: float = 1e-5  # reached, exponentially, at the last step
    # Of the steps, at their end: over it rates of shapes, opacities and colours fall linearly to nothing,
    # those of the means too where they have no last one.
    cooldown: float = 0.0

    def at(self, fraction: float, extent: float) -> dict[str, float]:
        """Rates of the model's parameters when ``fraction`` of the steps is done."""
        calm = min(1.0, (1.0 - fraction) / self.cooldown) if self.cooldown else 1.0
        fading = calm
        if self.means_final is not None:
            fading = (self.means_final / self.means) ** max(fraction, self.means_late)
        return {
            "means": extent * self.means * fading,
            "quats": calm * self.quats,
            "log_scales": calm * self.log_scales,
            "logit_opacities": calm * self.logit_opacities,
            "sh": calm * self.sh,
            "sh_rest": calm * self.sh_rest,
            "features": self.features,
            "network": self.network * (self.network_final / self.network) ** fraction,
        }


@dataclass(frozen=True)
class Recipe:
    """Which parts a fit combines, and their settings: a paper is one of these.

    Everything that counts steps does so in fractions of ``steps``, so that a shorter run is the same recipe.
    """

    name: str
    summary: str
    start: Start
    density: Strategy  # of plain Gaussians
    representation: Representation | None = None  # what is optimised in their place; None: they themselves
    paper: str | None = None
    max_size: int = 640  # pixels of the photos' long side, to which the pipeline shrinks them
    geometry: str | None = None  # a provider of dense depth and a cloud before the start: see `geometry`
    geometry_size: int = 504  # pixels of the photos' long side at which it is worked out
    steps: int = 3000
    losses: tuple[Term, ...] = (Photometric(),)
    rates: Rates = field(default_factory=Rates)
    sh_degree: int = 3
    sh_every: float = 1 / 30  # of the steps: then the next degree joins
    pictures: tuple[tuple[float, float], ...] = ((0.0, 1.0),)  # from this fraction on, photos at this scale
    dilation: tuple[tuple[float, int], ...] = ((0.0, 1),)  # from there on, one pixel of each d × d (Turbo-GS)
    mollification: Mollification | None = None  # None: photos are sharp from the first step on
    exposure: bool = True  # one affine colour map a photo: only where photos are a camera's own
    antialiased: bool = False
    cameras: CameraRefinement | None = None  # None: they stay where they are
    dropout: float = 0.0  # share of the Gaussians that the last steps leave out; it grows to that from none
    co_training: CoTraining | None = None  # a second set of Gaussians beside the scene's
    stop: DepthStop | None = None  # None: the last step is the end
    max_gaussians: int | None = None  # also of the start, which is thinned out; None: as the density says
    repair: RepairedViews | None = None  # of views between the photos; only where that is asked for
    needs: tuple[str, ...] = ()  # packages beyond firstlight's own
    few: Recipe | None = None  # in the place of this one where few photos train; it may have one too
    few_photos: int = FEW  # … that is, up to so many
    partial: str = ""  # what of the paper is missing, in a sentence; "": nothing

    @property
    def sees_depth(self) -> bool:
        """Whether a step renders depth."""
        return self.stop is not None or any(term.sees_depth for term in self.losses)

    @property
    def guided(self) -> bool:
        """Whether the start is kept to be looked at during the fit."""
        return any(isinstance(term, StartGuidance) for term in self.losses)

    @property
    def needs_masks(self) -> bool:
        """Whether every training photo must have a mask: the outline of the one object that is fitted."""
        return bool(getattr(self.start, "needs_masks", False))

    @property
    def needs_geometry(self) -> bool:
        """Whether it cannot begin without a dense cloud, or depth."""
        return bool(getattr(self.start, "needs_geometry", False))

    def limited(self, most: int) -> Recipe:
        """The same with at most ``most`` Gaussians at any time."""
        inside = None if self.representation is None else self.representation.limited(most)
        return replace(self, density=self.density.limited(most), representation=inside, max_gaussians=most)

    def for_photos(self, count: int) -> Recipe:
        """What is fitted to ``count`` training photos: this recipe, or the one it has for few."""
        fits = self.few is not None and count <= self.few_photos
        return self.few.for_photos(count) if self.few is not None and fits else self

    @property
    def variants(self) -> list[Recipe]:
        """All that ``for_photos`` may give, the one for the most photos first."""
        return [self, *(self.few.variants if self.few is not None else [])]

    def scale_at(self, fraction: float) -> float:
        """Of the photos, when ``fraction`` of the steps is done: coarse to fine."""
        return next(scale for start, scale in reversed(self.pictures) if fraction >= start)

    def dilation_at(self, fraction: float) -> int:
        """Every how many-th pixel, across and down, is rendered when ``fraction`` of the steps is done."""
        return next(every for start, every in reversed(self.dilation) if fraction >= start)

    def sh_degree_at(self, fraction: float) -> int:
        return min(self.sh_degree, int(fraction / self.sh_every)) if self.sh_every > 0 else self.sh_degree

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``run.json``; parts carry the name of their class."""
        described: dict[str, Any] = describe(self)
        return described

    def method(self) -> dict[str, Any]:
        """The part of ``to_dict`` that makes it another method than others: no words, sizes and steps."""
        return {key: value for key, value in self.to_dict().items() if key not in _NO_METHOD}

    def has_method(self, said: Any) -> bool:
        """Whether ``said``, ``to_dict`` of this version or an earlier one, is of the same method."""
        return describes(said, self)


def describe(value: Any) -> Any:
    """Nested dataclasses as dictionaries that say which part they are."""
    if is_dataclass(value) and not isinstance(value, type):
        inside = {f.name: describe(getattr(value, f.name)) for f in fields(value)}
        return inside if isinstance(value, Recipe | Rates) else {"part": type(value).__name__, **inside}
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {key: describe(item) for key, item in value.items()}
    return value


def describes(said: Any, value: Any) -> bool:
    """Whether ``said`` is what ``describe`` gave of ``value``, in this version or an earlier one.

    A setting that it lacks is newer than it, and must be as plain as if nobody had set it. Of a ``Recipe``
    only what makes the method counts.
    """
    if is_dataclass(value) and not isinstance(value, type):
        if not isinstance(said, dict) or said.get("part", type(value).__name__) != type(value).__name__:
            return False
        passed = _NO_METHOD if isinstance(value, Recipe) else {"part"}
        known = {f.name: f for f in fields(value) if f.name not in passed}
        return said.keys() - passed <= known.keys() and all(
            describes(said[name], getattr(value, name)) if name in said else getattr(value, name) == _plain(f)
            for name, f in known.items()
        )
    if isinstance(value, tuple | list):
        same = isinstance(said, tuple | list) and len(said) == len(value)
        return same and all(map(describes, said, value))
    return bool(said == value)


def _plain(of: Field[Any]) -> Any:
    """What a field has where nobody set it; MISSING, which equals nothing else, where it has to be set."""
    return of.default if of.default_factory is MISSING else of.default_factory()
