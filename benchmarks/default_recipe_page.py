"""``docs/default-recipe.md``, from the comparisons that ``default_recipe.py`` made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from comparisons import machine_line, name_of, run_of, some_run, table, views_of
from variants import VARIANTS, default

from firstlight.comparison import Comparison, Row
from firstlight.files.atomic import atomic_write
from firstlight.fitting.recipe import describe
from firstlight.recipes import RECIPES

# What is no setting: words, and the size that the comparison asks for.
WORDS = ("name", "summary", "paper", "partial", "needs", "few", "few_photos", "max_size")


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
    return [] if was == now else [f"{name} {shown(was)} → {shown(now)}"]


def shown(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("part", "other"))
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
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
    seconds_by_set: dict[str, list[float]]  # that the default takes longer

    @property
    def psnr(self) -> list[float]:
        return [value for values in self.by_set.values() for value in values]

    @property
    def seconds(self) -> list[float]:
        return [value for values in self.seconds_by_set.values() for value in values]


def worths(comparisons: Sequence[Comparison], views: int | None) -> list[Worth]:
    """Each variant's losses, the greatest first; pairs are of one set and one seed.

    Of two comparisons of one set that have the variant, the one with more seeds counts.
    """
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
            worth = found.setdefault((row.recipe, differs), Worth(row.recipe, differs, names, {}, {}))
            psnr, seconds = (paired(base, row, metric) for metric in ("psnr", "seconds"))
            if len(psnr) >= len(worth.by_set.get(name_of(comparison), ())):
                worth.by_set[name_of(comparison)] = psnr
                worth.seconds_by_set[name_of(comparison)] = seconds
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
    "rates.means_final": "many photos: a hundredth, as in 3DGS; few: none, held until all cool down",
    "rates.quats": "3DGS's times eight, as the means; for few photos thrice that, by trials on four sets",
    "rates.log_scales": "as that of quats",
    "rates.sh": "3DGS's times eight, as the means",
    "rates.sh_rest": "a twentieth of that of sh, as in 3DGS",
    "rates.cooldown": "constant rates with a linear cooldown (Hägele et al. 2024), over 40 % by own trials",
    "losses.NeedlePenalty": "akin to PhysGaussian's anisotropy loss; trials on four sets, up to three seeds",
    "dropout": "DropGaussian (Park et al. 2025), with its 0.2",
    "sh_degree": "own trials, one seed, together with dropout and fewer Gaussians, for three photos",
    "pictures": "own trials: small pictures first are quicker; the last steps see the photos as they are",
    "steps": "firstlight: some minutes on two cores for many photos, half a minute for three",
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
    return shown(value)


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
    """The default itself, set by set; of two comparisons of one set the one with more seeds."""
    metrics = (
        ("psnr", 2),
        ("ssim", 3),
        ("seconds", 0),
        ("steps", 0),
        ("gaussians", 0),
        ("peak_memory_mb", 0),
    )
    defaults = [
        (comparison, row)
        for comparison in comparisons
        for row in comparison.rows
        if row.recipe == "default" and row.views == views and row.numbers
    ]
    fullest = {name_of(c): (c, row) for c, row in sorted(defaults, key=lambda one: len(one[1].trials))}
    rows = [
        (
            name,
            str(comparison.plan.max_size),
            " ".join(str(trial.seed) for trial in row.trials),
            *(row.words(metric, digits) for metric, digits in metrics),
        )
        for name, (comparison, row) in sorted(fullest.items())
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
                said = shown(value)
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
        pairs = str(len(worth.psnr))
        numbers = (f"{fmean(worth.psnr):+.2f}", ends, pairs, *by_set, f"{fmean(worth.seconds):+.0f}")
        rows.append((worth.name, worth.differs, origins.get(worth.name, "–"), *numbers))
    return table(
        ("instead", "change", "what was tried is from", "worth dB", "range", "pairs", *sets, "s"), rows, 3
    )
