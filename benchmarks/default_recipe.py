"""What each setting of the default recipe is worth: fit it with one setting changed, and write the page.

    python benchmarks/default_recipe.py PHOTOS … [--views 3 6 0] [--seeds 0 1 2] [--only NAME …] …
    python benchmarks/default_recipe.py --list
    python benchmarks/default_recipe.py [--runs DIR] [--note TEXT]

PHOTOS as for ``benchmarks/results.py``. Each set at each number of training photos is one comparison below
DIR; run it again to go on, or to add sets, seeds and variants. Without PHOTOS it only writes
``docs/default-recipe.md`` from what there is. A variant is a change of the recipe as it is today: one that
would change nothing is left out, and fits that were made with other settings are made anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from comparisons import (
    comparisons_below,
    machine_line,
    name_of,
    run_of,
    run_sets,
    some_run,
    table,
    views_of,
)

from firstlight.comparison import Comparison, Row
from firstlight.density import Fixed, Mcmc, Strategy, Vanilla
from firstlight.files.atomic import atomic_write
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
from firstlight.fitting.recipe import describe
from firstlight.recipes import RECIPES, get_recipe
from firstlight.starts import CloudAndPoints, EdgsStart, InstantStart, PointsOrRandom

DOCS = Path(__file__).resolve().parents[1] / "docs"
# What is no setting: words, and the size that the comparison asks for.
WORDS = ("name", "summary", "paper", "partial", "needs", "few", "few_photos", "max_size")
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
        scaled = {name: float(f"{times * getattr(recipe.rates, name):.6g}") for name in names}
        return replace(recipe, rates=replace(recipe.rates, **scaled))

    return change


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


def without_words(described: dict[str, Any]) -> dict[str, Any]:
    """A recipe's description without what does nothing."""
    return {key: value for key, value in described.items() if key not in WORDS}


def differences(was: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two descriptions of recipes, in words: 'density.noise 1e+05 → 0'."""
    if isinstance(was, dict) and isinstance(now, dict) and was.get("part") == now.get("part"):
        return [
            words
            for key in was.keys() | now.keys()
            for words in differences(was.get(key), now.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if was == now else [f"{name} {_short(was)} → {_short(now)}"]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("part", "other"))
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return {None: "none", True: "on", False: "off"}.get(value, str(value))


@dataclass(frozen=True)
class Worth:
    """One variant beside the default, over sets and seeds."""

    name: str
    differs: str  # from the default, in words
    settings: frozenset[str]  # those of the default that it has otherwise
    by_set: dict[str, list[float]]  # dB that the default is ahead, seed by seed
    seconds: list[float]  # that the default takes longer

    @property
    def psnr(self) -> list[float]:
        return [value for values in self.by_set.values() for value in values]


def worths(comparisons: Sequence[Comparison], views: int | None) -> list[Worth]:
    """Each variant's losses, the greatest first; pairs are of one set and one seed."""
    found: dict[tuple[str, str], Worth] = {}
    for comparison in comparisons:
        rows = {row.recipe: row for row in comparison.rows if row.views == views and row.numbers}
        base = rows.pop("default", None)
        if base is None:
            continue
        recipe = described(comparison, base)
        for row in rows.values():
            other = described(comparison, row)
            differs = "; ".join(sorted(differences(recipe, other))) or "nothing"
            names = frozenset(changed(recipe, other))
            worth = found.setdefault((row.recipe, differs), Worth(row.recipe, differs, names, {}, []))
            psnr, seconds = (paired(base, row, metric) for metric in ("psnr", "seconds"))
            worth.by_set[name_of(comparison)] = psnr
            worth.seconds.extend(seconds)
    return sorted((w for w in found.values() if w.psnr), key=lambda w: -fmean(w.psnr))


def paired(base: Row, row: Row, metric: str) -> list[float]:
    """Base minus the other, seed by seed, of the seeds that both have."""
    mine, other = (
        dict(zip((trial.seed for trial in each.trials), each.numbers[metric].values, strict=True))
        for each in (base, row)
    )
    return [mine[seed] - other[seed] for seed in mine if seed in other]


def described(comparison: Comparison, row: Row) -> dict[str, Any]:
    """The recipe as it was run, without its words."""
    return without_words(run_of(comparison, row.trials[0]).about["recipe"])


# Where settings come from that are no part of a paper's recipe; numbers stand in `recipes/`.
ORIGINS = {
    "geometry": "firstlight: stereo in the place of the pretrained networks of EDGS and InstantSplat",
    "start": "firstlight: InstantSplat's dense points and 3DGS's sparse ones, each misses what others find",
    "start.most": "own trials at 240 pixels, one or two seeds, together with the number of Gaussians",
    "density.max_gaussians": "what two cores carry in minutes; its number by own trials, one or two seeds",
    "max_gaussians": "firstlight: a start with more sparse points than the budget is thinned out",
    "density.noise": "near 3DGS-MCMC's strength: it is multiplied by the rate of the means, higher here",
    "density.start": "own trials, two seeds: growth begins with the larger pictures; small ones stay quick",
    "rates.means": "3DGS's times eight, by own trials on the demo; for few photos half of that, on four sets",
    "rates.means_final": "a hundredth of the first, as in 3DGS",
    "rates.quats": "3DGS's times eight, as the means; for few photos thrice that, by trials on four sets",
    "rates.log_scales": "as that of quats",
    "rates.sh": "3DGS's times eight, as the means",
    "rates.sh_rest": "a twentieth of that of sh, as in 3DGS",
    "rates.cooldown": "constant rates with a linear cooldown (Hägele et al. 2024), over 40 % by own trials",
    "losses.NeedlePenalty": "akin to PhysGaussian's anisotropy loss; trials on four sets, up to three seeds",
    "dropout": "DropGaussian (Park et al. 2025), with its 0.2",
    "sh_degree": "own trials, one seed, together with dropout and fewer Gaussians, for three photos",
    "pictures": "own trials: small pictures first are quicker; the last steps see the photos as they are",
    "steps": "firstlight: some minutes on two cores for many photos, 40 seconds for three",
}


def settings(recipe: dict[str, Any]) -> dict[str, Any]:
    """What of a described recipe is not as in 3DGS, and of its parts not as a paper has them."""
    plain = RECIPES["vanilla"].to_dict()
    found: dict[str, Any] = {}
    for name, value in recipe.items():
        if name == "rates":
            found |= {f"rates.{rate}": one for rate, one in value.items() if one != plain["rates"].get(rate)}
        elif name == "losses":
            found |= {f"losses.{part['part']}": _long(part) for part in value if part not in plain["losses"]}
        elif value != plain.get(name):
            part = isinstance(value, dict)
            found[name] = value["part"] if part else value
            # Of a part of our own all is our choice, but for what 3DGS's has too.
            usual = (plain[name] if name in ORIGINS else _by_itself(value["part"])) if part else {}
            shown = (
                {f"{name}.{key}": one for key, one in value.items() if one != usual.get(key)} if usual else {}
            )
            found |= {key: one for key, one in shown.items() if not key.endswith(".part")}
    return found


def _by_itself(part: str) -> dict[str, Any]:
    """How a strategy of today's default is described where nothing of it is set; {}: it is none of these."""
    strategies: set[type[Any]] = {type(default(views).density) for views in (3, 6, None)}
    described: dict[str, Any] = next((describe(s()) for s in strategies if s.__name__ == part), {})
    return described


def origin_of(name: str, value: Any) -> str:
    """As typed above; of other parts the first paper whose recipe has it too."""
    if name in ORIGINS:
        return ORIGINS[name]
    stage, part = name.partition(".")[0], str(value).partition(" ")[0]
    for recipe in RECIPES.values():
        theirs = recipe.to_dict()[stage]
        parts = [one for one in (theirs if isinstance(theirs, list) else [theirs]) if isinstance(one, dict)]
        if recipe.paper and part in [one.get("part") for one in parts]:
            return recipe.paper
    return "–"


def changed(was: dict[str, Any], now: dict[str, Any]) -> set[str]:
    """Which settings of a described default another recipe has otherwise; of a part only where it has it."""
    mine, theirs = settings(was), settings(now)

    def kept(name: str) -> bool:
        part = name.partition(".")[0]
        return part == name or mine.get(part) == theirs.get(part)

    return {name for name in mine if mine[name] != theirs.get(name) and kept(name)}


def _long(value: Any) -> str:
    """A value with all that is set in it."""
    if isinstance(value, dict):
        inside = ", ".join(f"{key} {_long(one)}" for key, one in value.items() if key != "part")
        return f"{value['part']} ({inside})" if inside else str(value["part"])
    return _short(value)


ABOUT = """# The default recipe, setting by setting

Written by `benchmarks/default_recipe.py` from `firstlight compare`'s runs; not edited by hand. The default is
fitted as it is and with one setting changed, on the same photos, cameras, held-out photos and seeds. Worth is
held-out PSNR of the default minus that of the change: above 0 the default's setting is the better one. Mean,
then the least and the greatest over all pairs of one set and one seed; where that range holds 0, nothing is
shown. Seconds are what the default takes longer to make the scene: dense geometry, start and fit. Changes are
the default's value → what was tried.

Most settings were chosen by held-out photos of some of these sets, with one or two seeds: a choice, no
proof."""


def write_page(comparisons: Sequence[Comparison], page: Path, note: str) -> None:
    run = some_run(comparisons)
    lines = [ABOUT, ""]
    if run is not None:
        lines += [machine_line(run.about), ""]
    lines += [note, ""] if note else []
    for views in views_of(row for comparison in comparisons for row in comparison.rows):
        lines += [f"## {views} training photos" if views else "## All training photos", ""]
        found = worths(comparisons, views)
        lines += [*_defaults(comparisons, views), "", *_settings(comparisons, views, found), ""]
        lines += [*_worths(found), ""]
    with atomic_write(page) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def _defaults(comparisons: Sequence[Comparison], views: int | None) -> list[str]:
    """The default itself, set by set."""
    metrics = (
        ("psnr", 2),
        ("ssim", 3),
        ("seconds", 0),
        ("steps", 0),
        ("gaussians", 0),
        ("peak_memory_mb", 0),
    )
    rows = [
        (
            name_of(comparison),
            str(comparison.plan.max_size),
            " ".join(str(trial.seed) for trial in row.trials),
            *(row.words(metric, digits) for metric, digits in metrics),
        )
        for comparison in comparisons
        for row in comparison.rows
        if row.recipe == "default" and row.views == views and row.numbers
    ]
    head = ("the default on", "pixels", "seeds", "PSNR", "SSIM", "seconds", "steps", "Gaussians", "peak MB")
    return table(head, rows)


def _settings(comparisons: Sequence[Comparison], views: int | None, found: Sequence[Worth]) -> list[str]:
    """What of the default is not as in 3DGS, where that comes from, and what was measured in its place."""
    for row, comparison in ((row, c) for c in comparisons for row in c.rows):
        if row.recipe == "default" and row.views == views and row.numbers:
            rows = []
            for name, value in settings(described(comparison, row)).items():
                instead = [f"{one.name} {fmean(one.psnr):+.2f}" for one in found if name in one.settings]
                said = _short(value)
                rows.append((name, said, origin_of(name, value), "; ".join(instead) or "not measured"))
            told = (
                "What of it is not as in 3DGS, where that comes from, and its worth in dB against what was "
            )
            told += "tried in its place (alone or with other settings: see below)."
            return [told, "", *table(("setting", "value", "from", "worth"), rows, 4)]
    return []


def _worths(found: Sequence[Worth]) -> list[str]:
    sets = list(dict.fromkeys(name for worth in found for name in worth.by_set))
    origins = {variant.name: variant.origin for variant in VARIANTS}
    rows = []
    for worth in found:
        by_set = [f"{fmean(worth.by_set[name]):+.2f}" if name in worth.by_set else "–" for name in sets]
        ends = f"{min(worth.psnr):+.2f} … {max(worth.psnr):+.2f}"
        numbers = (f"{fmean(worth.psnr):+.2f}", ends, *by_set, f"{fmean(worth.seconds):+.0f}")
        rows.append((worth.name, worth.differs, origins.get(worth.name, "–"), *numbers))
    return table(("instead", "change", "what was tried is from", "worth dB", "range", *sets, "s"), rows, 3)


def list_variants(views: int, variants: dict[str, Recipe]) -> None:
    """What each would change, and where the default's settings come from."""
    told = {name: without_words(recipe.to_dict()) for name, recipe in variants.items()}
    base = told.pop("default")
    print(f"\n{views or 'all'} training photos, default of {base['steps']:,} steps")
    for name, value in settings(base).items():
        print(f"  {name:24} {_short(value)}: {origin_of(name, value)}")
    print()
    for name, recipe in told.items():
        print(f"  {name:30} {'; '.join(sorted(differences(base, recipe)))}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--views", nargs="+", type=int, default=[3, 6, 0], help="0: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="variants to fit, beside those that are begun"
    )
    parser.add_argument("--steps", type=int, help="of the default; by default its own")
    parser.add_argument("--max-size", type=int, default=640)
    parser.add_argument("--runs", type=Path, default=Path("runs/default-recipe"))
    parser.add_argument("--page", type=Path, default=DOCS / "default-recipe.md")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    parser.add_argument("--list", action="store_true", help="say what the variants would change")
    options = parser.parse_args()

    for views in options.views:
        base = default(views or None)
        base = base if options.steps is None else replace(base, steps=options.steps)
        variants = variants_of(base)
        if options.list:
            list_variants(views, variants)
            continue
        folder = options.runs / str(views or "all")
        begun = {name for comparison in comparisons_below(folder) for name in comparison.plan.recipes}
        wanted = begun | {"default", *(options.only or variants)}
        chosen = [recipe for name, recipe in variants.items() if name in wanted]
        sizes = {"views": [views or None], "max_size": options.max_size}
        for _ in run_sets(options.photos, chosen, folder, options.seeds, **sizes):
            write_page(comparisons_below(options.runs), options.page, options.note)
    found = comparisons_below(options.runs)
    if found and not options.list:
        write_page(found, options.page, options.note)
        print(options.page)


if __name__ == "__main__":
    main()
