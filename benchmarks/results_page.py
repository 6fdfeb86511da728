"""``docs/results.md``, from what ``firstlight compare`` left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from comparisons import budget, machine_line, table, views_of
from measured import Measured
from plain import SAME_START

from firstlight.comparison import COLUMNS, SEEN_WORDS, Row, Spread
from firstlight.files.atomic import atomic_write
from firstlight.recipes import RECIPES

NEAR = 0.1  # dB: no more than that is as good
# Means over sets.
MEANS = tuple(
    column._replace(title="mean PSNR") if column.key == "psnr" else column
    for column in COLUMNS
    if column.key != "megabytes"  # the Gaussians' number says it
)
ABOUT = f"""\
Written by `benchmarks/results.py` from what `firstlight compare` measured; not edited by hand. In one column
all recipes had the same photos, cameras, held-out photos and seeds. Numbers are over every 8th photo by name,
held out of training and compared without any colour correction; ± is half the range over seeds.
{SEEN_WORDS}. Seconds are
wall time of making the scene: preparing photos, dense geometry, the start and the fit. Cameras are known
before; compiling kernels and measuring are not counted. A recipe that has no number for some set has its
means in brackets: they are over fewer sets and not to be compared. Bold is the best of a column.

Recipes of papers keep their papers' learning rates, made for 30,000 steps; the default's were chosen for fits
as short as these, on some of these sets. What stands here is what each gives in minutes on a processor, not
how good it can become."""


def write_page(
    sets: Sequence[Measured],
    page: Path,
    failed: Mapping[str, str],
    note: str,
    worst: Sequence[str] = (),
    title: str = "Results",
) -> None:
    """The whole page; ``worst``: its last lines, of the worst pictures."""
    machines = dict.fromkeys(machine_line(vars(one)) for one in sets)
    lines = [f"# {title}", "", ABOUT, "", *machines, "", *([note, ""] if note else []), *_sets(sets)]
    lines += [f"- {name}: not compared: {reason}" for name, reason in failed.items()]
    kinds = sorted({(one.plan.poses, one.plan.steps or 0, budget(one.plan)) for one in sets})
    for poses, _, length in kinds:
        alike = [one for one in sets if (one.plan.poses, budget(one.plan)) == (poses, length)]
        for views in views_of(row for one in alike for row in one.rows):
            title = f"## {views} training photos" if views else "## All training photos"
            title += f", steps: {length}" if len({kind[2] for kind in kinds}) > 1 else ""
            title += ", cameras found from them alone" if poses == "train" else ""
            lines += ["", title, "", *_Table(alike, views).lines()]
    lines += ["", *worst]
    with atomic_write(page) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _sets(sets: Sequence[Measured]) -> list[str]:
    """How each comparison can be had again."""
    rows, commands = [], list[str]()
    for one in sets:
        plan = one.plan
        seeds = " ".join(map(str, plan.seeds))
        counts = str(one.trained), str(one.held_out)
        rows.append((one.name, *counts, one.size, one.cameras, budget(plan), seeds))
        views = " ".join(str(views or 0) for views in plan.views)
        length = f" --steps {plan.steps}" if plan.steps else ""
        length += f" --minutes {plan.minutes:g}" if plan.minutes else ""
        found = f" --poses {plan.poses}" if plan.poses != "all" else ""
        found += f" --matcher {plan.matcher}" if plan.matcher != "sift" else ""
        commands.append(f"--views {views} --seeds {seeds}{length} --max-size {plan.max_size}{found}")
    same = dict.fromkeys(commands)
    return [
        "Each set as by `firstlight compare SET "
        + (f"{next(iter(same))}`." if len(same) == 1 else "…` with what the table says."),
        "",
        *table(("set", "photos to train on", "held out", "size", "cameras", "steps", "seeds"), rows),
    ]


@dataclass(frozen=True)
class _Mean:
    """Of one recipe over the sets of a table."""

    numbers: Mapping[str, Spread]
    whole: bool  # a number for every set

    def words(self, metric: str, digits: int) -> str:
        if metric not in self.numbers:
            return "–"
        said = self.numbers[metric].words(digits)
        return said if self.whole else f"({said})"


class _Table:
    """Recipes × sets at one number of training photos."""

    def __init__(self, sets: Sequence[Measured], views: int | None) -> None:
        self.rows: dict[tuple[str, str], Row] = {}  # by recipe and set
        self.reasons: dict[str, list[str]] = {}  # why something has no number → the sets where it has none
        for one in sets:
            for row in one.rows:
                if row.views == views:
                    self.rows[row.recipe, one.name] = row
                    for what, reasons in (("failed", row.failures), ("skipped", row.skipped)):
                        for why in reasons:
                            self.reasons.setdefault(f"{row.recipe} {what}: {why}", []).append(one.name)
        self.sets = list(dict.fromkeys(name for _, name in self.rows))
        self.means = {name: self._mean(name) for name in dict.fromkeys(recipe for recipe, _ in self.rows)}

    def lines(self) -> list[str]:
        metrics = [m for m in MEANS if any(m.key in mean.numbers for mean in self.means.values())]
        ranked = sorted(self.means, key=self._rank)
        columns = [[self._cell(recipe, name) for recipe in ranked] for name in self.sets]
        for column, name in zip(columns, self.sets, strict=True):
            scores = {
                recipe: self.rows[recipe, name].numbers for recipe in ranked if (recipe, name) in self.rows
            }
            _embolden(column, ranked, {k: v["psnr"].mean for k, v in scores.items() if "psnr" in v}, True)
        for metric, _, digits, more in metrics:
            column = [self.means[recipe].words(metric, digits) for recipe in ranked]
            whole = {
                k: m.numbers[metric].mean for k, m in self.means.items() if m.whole and metric in m.numbers
            }
            _embolden(column, ranked, whole, more)
            columns.append(column)
        head = ("recipe", *self.sets, *(column.title for column in metrics))
        lines = table(head, list(zip(ranked, *columns, strict=True)))
        lines += [*self._verdict()]
        if self.reasons:
            lines += [
                "",
                *(f"- {why} ({', '.join(dict.fromkeys(names))})" for why, names in self.reasons.items()),
            ]
        return lines

    def _rank(self, recipe: str) -> tuple[bool, float]:
        """The best first; after them those that lack a set, and those that have nothing."""
        mean = self.means[recipe]
        return not mean.whole, -mean.numbers["psnr"].mean if "psnr" in mean.numbers else 0.0

    def _cell(self, recipe: str, name: str) -> str:
        row = self.rows.get((recipe, name))
        if row is None:
            return "–"
        if not row.numbers:
            return row.state
        lost = f" ({len(row.failures)} failed)" if row.failures else ""
        return row.words("psnr", 2) + lost

    def _mean(self, recipe: str) -> _Mean:
        """Over sets of each seed's numbers; where sets differ in seeds, of their means."""
        mine = [row for name in self.sets if (row := self.rows.get((recipe, name))) and row.numbers]
        numbers = {}
        for metric, *_ in MEANS:
            spreads = [row.numbers[metric] for row in mine if metric in row.numbers]
            if not spreads or len(spreads) < len(mine):
                continue
            seeds = {tuple(trial.seed for trial in row.trials) for row in mine}
            by_seed = [spread.values or (spread.mean,) for spread in spreads]
            if len(seeds) > 1 or len({len(values) for values in by_seed}) > 1:
                by_seed = [(spread.mean,) for spread in spreads]
            numbers[metric] = Spread.over([fmean(values) for values in zip(*by_seed, strict=True)])
        return _Mean(numbers, len(mine) == len(self.sets))

    def _verdict(self) -> list[str]:
        """The default recipe beside the best of the papers, and beside 3DGS."""
        whole = {
            name: mean.numbers for name, mean in self.means.items() if mean.whole and "psnr" in mean.numbers
        }
        papers = [name for name in whole if name in RECIPES and name != "default" and RECIPES[name].paper]
        if "default" not in whole or not papers:
            return []
        ours = whole["default"]
        best = max(papers, key=lambda name: whole[name]["psnr"].mean)
        ahead = ours["psnr"].mean - whole[best]["psnr"].mean
        time = ours["seconds"].mean / whole[best]["seconds"].mean
        said = f"The default: {ahead:+.2f} dB to {best}, the best of the papers' recipes in the mean, "
        said += f"in {time:.2f} of its time"
        if "vanilla" in whole:
            share = ours["gaussians"].mean / whole["vanilla"]["gaussians"].mean
            said += f"; {share:.0%} of vanilla's Gaussians"
        if SAME_START in whole:
            gain = ours["psnr"].mean - whole[SAME_START]["psnr"].mean
            said += f". {gain:+.2f} dB to 3DGS from the default's start"
        return ["", f"{said}. {self._leads()}."]

    def _leads(self) -> str:
        """On how many sets no recipe is better than the default, and what is on the others."""
        better = {}
        for name in self.sets:
            rows = {recipe: self.rows[recipe, name] for recipe in self.means if (recipe, name) in self.rows}
            found = {recipe: row.numbers["psnr"].mean for recipe, row in rows.items() if row.numbers}
            best = max(found, key=found.__getitem__)
            if found[best] - found["default"] > NEAR:
                better[name] = best
        count = len(self.sets) - len(better)
        said = f"The default is the best or within {NEAR} dB of the best on {count} of {len(self.sets)} sets"
        return said + "".join(f"; on {name} {best} is better" for name, best in better.items())


def _embolden(column: list[str], recipes: Sequence[str], values: Mapping[str, float], more: bool) -> None:
    """Mark the best of several."""
    if len(values) > 1:
        place = recipes.index((max if more else min)(values, key=values.__getitem__))
        column[place] = f"**{column[place]}**"
