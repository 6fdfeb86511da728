"""What ``default_recipe.py`` tries in the place of each setting of the default recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from firstlight.density import Fixed, Mcmc, Strategy, Vanilla
from firstlight.fitting import (
    CameraRefinement,
    NeedlePenalty,
    OpacityPenalty,
    Photometric,
    Rates,
    Recipe,
    ScalePenalty,
    Term,
)
from firstlight.recipes import get_recipe
from firstlight.starts import CloudAndPoints, EdgsStart, InstantStart, PointsOrRandom

FASTER = ("means", "means_final", "quats", "log_scales", "sh", "sh_rest")  # rates of ``recipes.rates.SHORT``
PENALTIES = OpacityPenalty | ScalePenalty | NeedlePenalty
FEW_GAUSSIANS = 40_000  # for variants of a default that names no count


@dataclass(frozen=True)
class Variant:
    """The default with one setting changed."""

    name: str
    origin: str  # of the setting that is tried
    change: Callable[[Recipe], Recipe]


def default(views: int | None) -> Recipe:
    """The default recipe for that many training photos; None: for many, however few a set has."""
    recipe = get_recipe("default")
    return replace(recipe if views is None else recipe.for_photos(views), name="default", few=None)


def count(recipe: Recipe) -> int:
    of_density: int = getattr(recipe.density, "max_gaussians", FEW_GAUSSIANS)
    return recipe.max_gaussians or of_density


def without_mcmc(recipe: Recipe, density: Strategy) -> Recipe:
    """Another density control, and no penalties."""
    return replace(recipe, density=density, losses=_unpenalised(recipe))


def _unpenalised(recipe: Recipe) -> tuple[Term, ...]:
    return tuple(term for term in recipe.losses if not isinstance(term, PENALTIES))


def at_papers_rates(times: float) -> Callable[[Recipe], Recipe]:
    """Rates of 3DGS times that, of what it makes faster; MCMC's noise stays as strong."""

    def change(recipe: Recipe) -> Recipe:
        scaled = {name: float(f"{times * getattr(Rates(), name):.6g}") for name in FASTER}
        changed = replace(recipe, rates=replace(recipe.rates, **scaled))
        if isinstance(recipe.density, Mcmc):
            noise = float(f"{recipe.density.noise * recipe.rates.means / changed.rates.means:.6g}")
            changed = replace(changed, density=replace(recipe.density, noise=noise))
        return changed

    return change


def rates_times(times: float, *names: str) -> Callable[[Recipe], Recipe]:
    """The recipe's own rates times that; noise goes with the means', as it does in the method."""

    def change(recipe: Recipe) -> Recipe:
        mine = {name: getattr(recipe.rates, name) for name in names}
        scaled = {name: float(f"{times * rate:.6g}") for name, rate in mine.items() if rate is not None}
        return replace(recipe, rates=replace(recipe.rates, **scaled))

    return change


def fading_means(recipe: Recipe) -> Recipe:
    """Means slow down to a hundredth of their rate from the first step on; noise as strong on the whole."""
    density, rates = recipe.density, recipe.rates
    if isinstance(density, Mcmc) and rates.means_final is None:
        density = replace(density, noise=4 * density.noise)
    return replace(recipe, density=density, rates=replace(rates, means_final=rates.means / 100))


def with_cooldown(share: float) -> Callable[[Recipe], Recipe]:
    return lambda recipe: replace(recipe, rates=replace(recipe.rates, cooldown=share))


def colours_at_papers_rates(recipe: Recipe) -> Recipe:
    papers = Rates()
    return replace(recipe, rates=replace(recipe.rates, sh=papers.sh, sh_rest=papers.sh_rest))


def with_noise(times: float) -> Callable[[Recipe], Recipe]:
    def change(recipe: Recipe) -> Recipe:
        density = recipe.density
        return (
            replace(recipe, density=replace(density, noise=times * density.noise))
            if isinstance(density, Mcmc)
            else recipe
        )

    return change


def growing_from(start: int) -> Callable[[Recipe], Recipe]:
    """MCMC grows from that step of the paper's 30,000 on."""

    def change(recipe: Recipe) -> Recipe:
        density = recipe.density
        return replace(recipe, density=replace(density, start=start)) if isinstance(density, Mcmc) else recipe

    return change


def with_points(most: int) -> Callable[[Recipe], Recipe]:
    """So many of stereo's points, beside the sparse ones."""

    def change(recipe: Recipe) -> Recipe:
        start = recipe.start
        return (
            replace(recipe, start=replace(start, most=most)) if isinstance(start, CloudAndPoints) else recipe
        )

    return change


def without(penalty: type[Term]) -> Callable[[Recipe], Recipe]:
    return lambda recipe: replace(
        recipe, losses=tuple(term for term in recipe.losses if not isinstance(term, penalty))
    )


def as_for(views: int | None) -> Callable[[Recipe], Recipe]:
    """All settings of the default for another number of photos, but its steps."""
    return lambda recipe: replace(default(views), steps=recipe.steps)


def with_mcmc(recipe: Recipe) -> Recipe:
    if isinstance(recipe.density, Mcmc):
        return recipe
    losses = (*_unpenalised(recipe), OpacityPenalty(0.01), ScalePenalty(0.01))
    noise = 5e5 * Rates().means / recipe.rates.means
    return replace(recipe, density=Mcmc(max_gaussians=count(recipe), noise=noise), losses=losses)


def with_needle_penalty(recipe: Recipe) -> Recipe:
    if any(isinstance(term, NeedlePenalty) for term in recipe.losses):
        return recipe
    return replace(recipe, losses=(*recipe.losses, NeedlePenalty()))


def from_sparse_points(recipe: Recipe) -> Recipe:
    """Losses that look at measured depth keep their geometry."""
    return replace(recipe, start=PointsOrRandom(), geometry=recipe.geometry if recipe.sees_depth else None)


def from_dense_points(start: InstantStart | EdgsStart) -> Callable[[Recipe], Recipe]:
    def change(recipe: Recipe) -> Recipe:
        if isinstance(recipe.start, type(start)):
            return recipe
        # No more of them than the default ends with.
        most = recipe.max_gaussians or count(recipe)
        return replace(recipe, start=start, geometry=recipe.geometry or "stereo", max_gaussians=most)

    return change


def coarse_to_fine(recipe: Recipe) -> Recipe:
    return recipe if len(recipe.pictures) > 1 else replace(recipe, pictures=((0.0, 0.5), (0.25, 1.0)))


MCMC = "3DGS-MCMC (Kheradmand et al. 2024)"
KERBL = "3DGS (Kerbl et al. 2023)"
INSTANT = "InstantSplat (Fan et al. 2024)"
OWN = "firstlight's own trials"

VARIANTS = (
    Variant("sparse start", KERBL, from_sparse_points),
    Variant("dense start", INSTANT, from_dense_points(InstantStart())),
    Variant("triangulated start", "EDGS (Kotovenko et al. 2025)", from_dense_points(EdgsStart())),
    Variant("vanilla growth", KERBL, lambda r: without_mcmc(r, Vanilla(count(r)))),
    Variant("mcmc growth", MCMC, with_mcmc),
    Variant("no growth", INSTANT, lambda r: without_mcmc(r, Fixed())),
    Variant("growth from the start", MCMC, growing_from(500)),
    Variant("growth from 12,000", OWN, growing_from(12_000)),
    *(Variant(f"{n:,} dense points", OWN, with_points(n)) for n in (8_000, 12_000, 24_000)),
    Variant("no penalties", KERBL, lambda r: without_mcmc(r, r.density)),
    Variant("no opacity penalty", KERBL, without(OpacityPenalty)),
    Variant("no scale penalty", KERBL, without(ScalePenalty)),
    Variant("no needle penalty", KERBL, without(NeedlePenalty)),
    Variant("needle penalty", "PhysGaussian (Xie et al. 2024)", with_needle_penalty),
    Variant("no noise", KERBL, with_noise(0.0)),
    Variant("noise fivefold", OWN, with_noise(5.0)),
    Variant("half the Gaussians", OWN, lambda r: r.limited(count(r) // 2)),
    Variant("twice the Gaussians", OWN, lambda r: r.limited(2 * count(r))),
    *(Variant(f"rates {n}x", f"{KERBL} times {n}", at_papers_rates(n)) for n in (1, 2, 4, 8, 16)),
    Variant("means slow down from the start", KERBL, fading_means),
    Variant("means at half the rate", OWN, rates_times(0.5, "means", "means_final")),
    Variant("means at twice the rate", OWN, rates_times(2, "means", "means_final")),
    Variant("shapes at a third of the rate", OWN, rates_times(1 / 3, "quats", "log_scales")),
    Variant("shapes at three times the rate", OWN, rates_times(3, "quats", "log_scales")),
    Variant("colours at 3DGS's rates", KERBL, colours_at_papers_rates),
    Variant("rates hold to the end", KERBL, with_cooldown(0.0)),
    *(Variant(f"cooldown over {n:.0%}", OWN, with_cooldown(n)) for n in (0.2, 0.6)),
    Variant("cameras stay", KERBL, lambda r: replace(r, cameras=None)),
    Variant("cameras move", INSTANT, lambda r: replace(r, cameras=r.cameras or CameraRefinement())),
    Variant("no dropout", KERBL, lambda r: replace(r, dropout=0.0)),
    Variant("dropout", "DropGaussian (Park et al. 2025)", lambda r: replace(r, dropout=r.dropout or 0.2)),
    Variant("full size at once", KERBL, lambda r: replace(r, pictures=((0.0, 1.0),))),
    Variant("coarse to fine", OWN, coarse_to_fine),
    Variant("photometric loss alone", KERBL, lambda r: replace(r, losses=(Photometric(),))),
    Variant("one colour a Gaussian", INSTANT, lambda r: replace(r, sh_degree=0)),
    Variant("harmonics of degree 3", KERBL, lambda r: replace(r, sh_degree=3)),
    Variant("no exposure", KERBL, lambda r: replace(r, exposure=False)),
    Variant("antialiased", "Mip-Splatting (Yu et al. 2024)", lambda r: replace(r, antialiased=True)),
    Variant("half the steps", OWN, lambda r: replace(r, steps=r.steps // 2)),
    Variant("twice the steps", OWN, lambda r: replace(r, steps=2 * r.steps)),
    *(Variant(f"as for {v or 'many'} photos", OWN, as_for(v)) for v in (3, 6, None)),
)  # fmt: skip


def variants_of(base: Recipe) -> dict[str, Recipe]:
    """The base, and by name each variant that differs from it and from those before."""
    found, seen = {"default": base}, [base]
    for variant in VARIANTS:
        changed = variant.change(base)
        if changed not in seen:
            seen.append(changed)
            found[variant.name] = replace(changed, name=variant.name)
    return found
