"""The pages that benchmarks write from comparisons: what they say of whole, partial and failed ones."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from rich.console import Console

from firstlight.comparison import Comparison, Plan, Row, Spread, Trial
from firstlight.comparison._page import _line, _pictures, _Shown
from firstlight.comparison._results import making_seconds
from firstlight.comparison._trial import _set_aside_changed
from firstlight.errors import InputError
from firstlight.evaluate.report.folder import read_run_folder
from firstlight.fitting import Rates
from firstlight.pipeline import Run
from firstlight.recipes import get_recipe

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MACHINE = {"cpu": "abacus", "cores": 2, "memory_gb": 24.0, "python": "3.11"}
VERSIONS = {"firstlight": "0", "torch": "2", "numba": "0"}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def made(folder: Path, photos: str, psnr: dict[str, tuple[float, ...]], steps: int = 30) -> Comparison:
    """A comparison as ``compare`` would leave it: recipe → PSNR of each seed; none: it failed."""
    seeds = tuple(range(max(map(len, psnr.values()))))
    plan = Plan(photos, tuple(psnr), (3,), seeds, steps=steps)
    rows = []
    for name, values in psnr.items():
        trials = tuple(Trial(name, 3, seed) for seed in range(len(values)))
        measured = {"psnr": values, "seconds": [10.0] * len(values), "gaussians": [5.0] * len(values)}
        if name != "default":
            measured["psnr_seen"] = [value + 2 for value in values]
        numbers = {metric: Spread.over(each) for metric, each in measured.items()} if values else {}
        failures = () if values else (f"{folder}/trials: a|bug\nin {photos}",)
        rows.append(Row(name, 3, trials, numbers, failures))
        for trial, value in zip(trials, values, strict=True):
            _run(folder / "trials" / trial.folder, name, value)
    comparison = Comparison(folder, plan, rows, (12.0,))
    plan.save(folder)
    comparison.save()
    return comparison


def _run(folder: Path, name: str, psnr: float) -> None:
    (folder / "renders").mkdir(parents=True)
    for kind, level in (("render", 0), ("photo", 255)):
        cv2.imwrite(str(folder / "renders" / f"{kind}.png"), np.full((6, 8, 3), level, np.uint8))
    files = {kind: f"renders/{kind}.png" for kind in ("render", "photo")}
    photo = {"name": "a.jpg", "width": 8, "height": 6, "psnr": psnr, "held_out": True, "files": files}
    about = {
        "options": {}, "machine": MACHINE, "versions": VERSIONS, "split": {"train": ["b"], "test": ["a.jpg"]},
        "per_photo": [photo], "recipe": get_recipe(name).to_dict() if name != "no noise" else _noiseless(),
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(about))


def _noiseless() -> dict[str, Any]:
    recipe = get_recipe("default").to_dict()
    return {**recipe, "density": {**recipe["density"], "noise": 0.0}}


def test_a_comparison_is_read_as_it_was_saved(tmp_path: Path) -> None:
    saved = made(tmp_path / "x", "x", {"vanilla": (20.0, 21.0), "mcmc": ()})
    assert Comparison.open(tmp_path / "x") == saved
    stored = json.loads((tmp_path / "x" / "compare.json").read_text()) | {"pose_seconds": 12.0}
    del stored["plan"]["poses"]
    (tmp_path / "x" / "compare.json").write_text(json.dumps(stored))
    assert Comparison.open(tmp_path / "x") == saved, "as early versions wrote it"
    with pytest.raises(InputError, match="holds no comparison"):
        Comparison.open(tmp_path)
    (tmp_path / "x" / "compare.json").write_text('{"rows": 3}')
    with pytest.raises(InputError, match=r"compare\.json"):
        Comparison.open(tmp_path / "x")


def test_a_narrow_screen_has_fewer_columns_and_whole_numbers(tmp_path: Path) -> None:
    comparison = made(tmp_path, "x", {"vanilla": (20.0, 21.0), "mcmc": (19.0, 19.0)})

    def lines(width: int) -> list[str]:
        console = Console(width=width, file=io.StringIO())
        console.print(comparison.table(width))
        return cast(io.StringIO, console.file).getvalue().splitlines()

    wide, narrow = lines(120), lines(50)
    assert "PSNR seen" in wide[1] and "Gaussians" in wide[1]
    assert "PSNR seen" not in narrow[1] and "seconds" in narrow[1]
    assert max(map(len, narrow)) <= 50 and any("20.50 ± 0.50" in line for line in narrow)


def test_numbers_are_those_of_the_runs_where_these_are_there(tmp_path: Path) -> None:
    made(tmp_path, "x", {"vanilla": (20.0, 21.0), "mcmc": (19.0, 19.0)})
    for trial in ("vanilla-3-0", "vanilla-3-1", "mcmc-3-0"):  # mcmc's second is still on its way
        path = tmp_path / "trials" / trial / "run.json"
        timings = {
            "prepare": 1.0,
            "compile": 50.0,
            "geometry": 4.0,
            "fit": 8.0,
            "evaluate": 30.0,
            "report": 2.0,
        }
        summary = {"psnr": 22.0, "psnr_seen": 23.0, "seen": 0.5, "seconds": 95.0, "gaussians": 7}
        about = json.loads(path.read_text()) | {"status": "complete", "timings": timings, "summary": summary}
        path.write_text(json.dumps(about))
    vanilla, mcmc = Comparison.open(tmp_path).rows
    assert vanilla.numbers["psnr"].values == (22.0, 22.0) and vanilla.numbers["gaussians"].mean == 7
    assert vanilla.numbers["psnr_seen"].mean == 23.0 and vanilla.numbers["seen"].mean == 0.5
    assert vanilla.numbers["seconds"].mean == 13.0, "neither compiling nor measuring makes the scene"
    assert mcmc.numbers["psnr"].mean == 19.0 and mcmc.numbers["seconds"].mean == 10.0
    assert making_seconds({"timings": {"load": 1.0}}) is None


def test_curves_begin_when_making_the_scene_does(tmp_path: Path) -> None:
    timings = {"geometry": 5.0, "compile": 60.0, "fit": 12.0, "evaluate": 9.0}
    summary = {"psnr": 21.0, "fit_seconds": 11.0, "gaussians": 30}
    (tmp_path / "run.json").write_text(json.dumps({"timings": timings, "summary": summary}))
    log = [{"step": 1, "seconds": 2.0, "gaussians": 50}, {"step": 2, "seconds": 4.0, "gaussians": 40}]
    log[1]["test_psnr"] = 18.0
    log.append({"step": 3, "seconds": 8.0, "gaussians": 20, "test_psnr": 19.0})
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, log)))
    shown = _Shown(Row("vanilla", 3, (Trial("vanilla", 3, 0),)), "red", [tmp_path])
    seconds, gaussians = (
        _line(shown, [read_run_folder(tmp_path)], axis) for axis in ("seconds", "gaussians")
    )
    assert seconds.tracks == [[(10.0, 18.0), (14.0, 19.0)]] and seconds.ends == [(17.0, 21.0)]
    assert gaussians.tracks == [[(40.0, 18.0), (20.0, 19.0)]] and gaussians.ends == [(30.0, 21.0)]


def test_the_page_says_how_many_photos_it_leaves_out(tmp_path: Path) -> None:
    def told(count: int) -> str:
        photos = [{"name": f"{i}.png", "psnr": 20.0, "files": {}} for i in range(count)]
        (tmp_path / "run.json").write_text(json.dumps({"options": {}, "per_photo": photos}))
        shown = _Shown(Row("vanilla", 3, (Trial("vanilla", 3, 0),)), "red", [tmp_path])
        return str(_pictures([shown], "3"))

    assert "The first 8 of 9 held-out photos." in told(9)
    assert "held-out photos" not in told(8)


def all_measured(folder: Path) -> list[Any]:
    from comparisons import comparisons_below
    from measured import joined, measured

    return joined([], [one for each in comparisons_below(folder) if (one := measured(each)) is not None])


def test_what_was_measured_outlives_its_runs_and_grows(tmp_path: Path) -> None:
    from measured import joined, missing, read, write

    place, file = "/secret/place", tmp_path / "docs" / "results.json"
    made(tmp_path / "here", f"{place}/fox", {"default": (21.0, 23.0), "edgs": (20.0,), "mcmc": ()})
    first = all_measured(tmp_path / "here")
    write(first, file)
    assert read(file) == first
    assert place not in file.read_text() and str(tmp_path) not in file.read_text()

    plan = Plan("fox", ("default", "edgs", "mcmc", "taming"), (3,), (0, 1), steps=30)
    assert missing(read(file), plan) == ["edgs", "mcmc", "taming"], "what failed is tried again"
    assert missing(read(file), replace(plan, steps=31)) == list(plan.recipes)

    made(tmp_path / "there", f"{place}/fox", {"edgs": (20.5, 24.0), "mcmc": (19.0,), "taming": ()})
    (both,) = joined(read(file), all_measured(tmp_path / "there"))
    numbers = {row.recipe: row.numbers["psnr"].values for row in both.rows if row.numbers}
    assert numbers == {"default": (21.0, 23.0), "edgs": (20.5, 24.0), "mcmc": (19.0,)}
    assert missing([both], plan) == ["mcmc", "taming"] and both.plan.seeds == (0, 1)
    assert [row.recipe for row in both.rows if row.failures] == ["taming"]


def test_what_was_measured_of_other_settings_is_left_out(tmp_path: Path) -> None:
    from measured import read, write

    made(tmp_path / "a", "fox", {"default": (21.0,), "edgs": (20.0,), "mcmc": ()})
    write(all_measured(tmp_path), tmp_path / "results.json")
    stored = json.loads((tmp_path / "results.json").read_text())
    default = next(one for one in stored["methods"].values() if one["name"] == "default")
    default["rates"]["sh"], default["summary"] = 1.0, "words of yesterday"
    (tmp_path / "results.json").write_text(json.dumps(stored))
    (left,) = read(tmp_path / "results.json")
    assert [row.recipe for row in left.rows] == ["edgs", "mcmc"]


def test_a_trial_of_other_settings_is_set_aside(tmp_path: Path) -> None:
    vanilla, plan = get_recipe("vanilla"), Plan("x", ("vanilla",), steps=30)
    folder = tmp_path / "vanilla-3-0"
    _run(folder, "vanilla", 20.0)
    Run.open(folder).write(status="complete")
    _set_aside_changed(folder, replace(vanilla, summary="new words", steps=7), plan)
    assert folder.is_dir(), "neither words nor the steps that the plan overrides are settings"
    _set_aside_changed(folder, replace(vanilla, rates=replace(vanilla.rates, sh=1.0)), plan)
    assert not folder.exists()
    assert (tmp_path / "vanilla-3-0-before" / "run.json").exists()


def test_results_say_what_is_whole_and_what_failed(tmp_path: Path) -> None:
    from comparisons import comparisons_below
    from results_page import write_page
    from worst_pictures import worst_pictures

    place = "/secret/place"
    made(
        tmp_path / "a", f"{place}/fox", {"default": (21.0, 23.0), "edgs": (20.0, 20.0), "mcmc": (19.0, 19.0)}
    )
    made(tmp_path / "b", f"{place}/demo", {"default": (24.0, 24.0), "edgs": (30.0, 30.0), "mcmc": ()})
    page = tmp_path / "docs" / "results.md"

    def write(show: Sequence[str]) -> None:
        worst = worst_pictures(comparisons_below(tmp_path), "default", page, show)
        write_page(all_measured(tmp_path), page, {"lego": "why"}, "busy", worst)

    write(["demo"])
    text = page.read_text()
    line = {row.split(" | ")[0].strip("| "): row for row in text.splitlines() if row.startswith("| ")}
    assert "| 24.00 | **22.00 ± 1.00** | 23.00 ± 0.50 | – |" in line["default"]
    assert "| **30.00** | 20.00 | **25.00** | 27.00 |" in line["edgs"], "with PSNR of what was seen"
    assert "| failed | 19.00 | (19.00) | (21.00) |" in line["mcmc"]
    assert "-2.00 dB to edgs" in text and "in 1.00 of its time" in text
    assert "mcmc failed: trials: a/bug in demo (demo)" in text and "lego: not compared: why" in text
    assert place not in text and str(tmp_path) not in text and "abacus" in text
    assert "1. 21.00 dB: fox, 3 training photos, default, a.jpg: not looked at" in text
    assert not (page.parent / "images" / "worst-1.jpg").exists(), "a photo that must not be published"
    assert (page.parent / "images" / "worst-2.jpg").exists() and (tmp_path / "worst" / "1.jpg").exists()

    reasons = page.with_name("worst.json")
    typed = json.loads(reasons.read_text())
    assert list(typed.values()) == ["", ""]
    reasons.write_text(json.dumps(dict.fromkeys(typed, "motion blur")))
    write([])
    assert page.read_text().count("a.jpg: motion blur") == 2


def test_results_of_other_lengths_have_tables_of_their_own(tmp_path: Path) -> None:
    from results_page import write_page

    made(tmp_path / "long", "fox", {"default": (25.0,), "edgs": (22.0,)}, steps=1500)
    made(tmp_path / "short", "fox", {"default": (21.0,), "edgs": (20.0,)})
    page = tmp_path / "results.md"
    write_page(all_measured(tmp_path), page, {}, "")
    _, short, long = page.read_text().split("\n## 3 training photos")
    assert short.startswith(", steps: 30\n") and "+1.00 dB to edgs" in short
    assert long.startswith(", steps: 1,500\n") and "+3.00 dB to edgs" in long


def test_worth_of_a_setting_is_paired_by_seed(tmp_path: Path) -> None:
    from default_recipe_page import worths, write_page

    one = made(tmp_path / "a", "fox", {"default": (21.0, 23.0), "no noise": (20.0, 24.0)})
    other = made(tmp_path / "b", "demo", {"default": (22.0,), "no noise": (21.0,)})
    (worth,) = worths([one, other], 3)
    assert worth.by_set == {"fox": [1.0, -1.0], "demo": [1.0]} and worth.seconds == [0.0] * 3
    assert worth.differs == "density.noise 100000 → 0"
    write_page([one, other], tmp_path / "page.md", "")
    text = (tmp_path / "page.md").read_text()
    assert "| +0.33 | -1.00 … +1.00 | 3 | +0.00 | +1.00 | +0 |" in text
    noise = "near 3DGS-MCMC's strength: it is multiplied by the rate of the means, higher here"
    assert f"| density.noise | 100000 | {noise} | no noise +0.33 |" in text
    assert "| not measured |" in text


@pytest.mark.parametrize("views", [3, 6, None, "instantsplat"])
def test_variants_differ_and_can_share_a_comparison(views: int | str | None) -> None:
    from default_recipe_page import differences, without_words
    from variants import default, variants_of

    variants = variants_of(get_recipe(views) if isinstance(views, str) else default(views))
    told = [without_words(recipe.to_dict()) for recipe in variants.values()]
    assert len(variants) > 10 and all(a != b for i, a in enumerate(told) for b in told[:i])
    assert all(differences(told[0], other) for other in told[1:])
    Plan("x", tuple(variants))  # refuses names that would share a folder
    assert json.loads(json.dumps(asdict(Plan("x", tuple(variants)))))


@pytest.mark.parametrize("views", [3, 6, None])
def test_every_setting_of_the_default_has_an_origin_and_a_variant(views: int | None) -> None:
    from default_recipe_page import changed, origin_of, settings, without_words
    from variants import default, variants_of

    told = {name: without_words(one.to_dict()) for name, one in variants_of(default(views)).items()}
    base = told.pop("default")
    names = settings(base)
    assert not {name for name, value in names.items() if origin_of(name, value) == "–"}
    assert "few_photos" not in names and not {"rates.network", "rates.features"} & names.keys()
    tried = {name: [other for other, one in told.items() if name in changed(base, one)] for name in names}
    assert all(tried.values()), f"nothing says what they are worth: {[n for n, v in tried.items() if not v]}"
    assert tried["start.most"] and "sparse start" not in tried["start.most"], "it has no such setting"
    assert tried["density.noise"][:2] == ["no noise", "noise fivefold"]
    assert "MCMC" not in origin_of("sh_degree", 1) and "Markov" in origin_of("density", "Mcmc")
    assert "Markov" in origin_of("losses.ScalePenalty", names["losses.ScalePenalty"])


def test_rates_of_the_papers_leave_networks_alone() -> None:
    from variants import at_papers_rates, default

    assert at_papers_rates(8)(default(None)) == default(None), "the default for many photos has these"
    assert at_papers_rates(2)(default(3)).rates.network == Rates().network


ABOUT_KEPT = {"views": 3, "max_size": 96, "steps": 20, "machine": MACHINE, "versions": VERSIONS}


def test_a_kept_fit_is_read_unless_its_settings_changed(tmp_path: Path) -> None:
    from comparisons import kept, kept_below

    file, numbers = tmp_path / "fits" / "one.json", iter((20.0, 21.0, 22.0))

    def fit(**settings: Any) -> Any:
        recipe = replace(get_recipe("default"), **settings)
        return kept(file, {"seed": 0}, recipe, lambda: {"psnr": next(numbers)})["psnr"]

    seen = [fit(), fit(), fit(summary="new words"), fit(dropout=0.5), fit(dropout=0.5)]
    assert seen == [20.0, 20.0, 20.0, 21.0, 21.0]
    (row,) = kept_below(file.parent)
    assert row["seed"] == 0 and row["machine"]["cores"] and row["settings"]["dropout"] == 0.5


def test_page_of_few_views_says_what_the_default_gains(tmp_path: Path) -> None:
    from few_views_page import page

    def row(start: str, arm: str, name: str, seed: int, psnr: float) -> dict[str, Any]:
        return {
            **ABOUT_KEPT,
            "start": start,
            "arm": arm,
            "set": name,
            "seed": seed,
            "psnr": psnr,
            "ssim": 0.5,
        }

    rows = [row("default", "3dgs", "fox", seed, 16.0) for seed in (0, 1)]
    rows += [row("default", "plain", "fox", seed, psnr) for seed, psnr in ((0, 19.0), (1, 18.0), (2, 90.0))]
    rows += [row("default", "guide", "fox", 0, 19.5), row("dense", "guide", "fox", 0, 10.0)]
    text = page(rows, ["default", "dense"], ["3dgs", "plain", "guide"], "A quiet one.")
    assert "is +2.50 (+2.00 … +3.00) dB ahead of plain 3DGS" in text and "2 in all" in text
    assert "| guide | 1 | 19.50 | 0.500 | +0.50 | +3.50 |" in text
    assert "| guide | 1 | 10.00 | 0.500 | – | – |" in text, "nothing to be compared with"
    assert text.count("ahead of plain") == 1 and "A quiet one." in text and "abacus" in text


@pytest.mark.parametrize("views", [3, 9])
def test_few_view_arms_differ_and_plain_3dgs_has_the_defaults_start(views: int) -> None:
    from few_views import ARMS, STARTS, Trial

    default = get_recipe("default").for_photos(views)
    plain = Trial("default", "3dgs", views, None).recipe
    assert (plain.start, plain.geometry, plain.steps) == (default.start, default.geometry, default.steps)
    vanilla = get_recipe("vanilla")
    assert (plain.density, plain.rates, plain.losses) == (vanilla.density, vanilla.rates, vanilla.losses)
    assert replace(Trial("default", "plain", views, None).recipe, few=default.few) == default
    assert Trial("default", "dropout", views, None).again, "the default has that share already"
    for start in STARTS:
        told = [
            json.dumps(trial.recipe.to_dict())
            for arm in ARMS
            if not (trial := Trial(start, arm, views, 30)).again
        ]
        assert len(set(told)) == len(told) >= 15, "the default has dropout, the others have none"


def test_page_of_weights_pairs_sets_and_seeds() -> None:
    from weights import page

    def row(method: str, weights: str, seed: int, *psnr: float) -> dict[str, Any]:
        about = {"method": method, "set": "fern", "weights": weights, "seed": seed, "psnr": list(psnr)}
        return {**ABOUT_KEPT, **about, "held_out": 3, "gaussians": 5_000}

    rows = [row("pointgs", "torch", seed, 10.0, 12.0, 15.0) for seed in (0, 1)]
    rows += [row("pointgs", "lsuv", 0, 12.0, 13.0, 15.0), row("pointgs", "lsuv", 1, 14.0, 13.0, 14.0)]
    text = page([*rows, row("coherentgs", "lsuv", 0, 1.0, 1.0, 1.0)], "")
    gains = "+3.00 (+2.00 … +4.00) | +1.00 (+1.00 … +1.00) | -0.50 (-1.00 … +0.00)"
    assert f"| pointgs | lsuv − torch | 2 | {gains} |" in text and "| coherentgs | lsuv −" not in text, (
        "LSUV alone has no worth"
    )
    numbers = "| 3 | 5,000 | 13.00 (12.00 … 14.00) | 13.00 (13.00 … 13.00) | 14.50 (14.00 … 15.00) |"
    assert f"| pointgs | fern | lsuv | 0 1 {numbers}" in text


def speed_row(kind: str, quality: str, psnr: float, number: int = 0, **news: Any) -> dict[str, Any]:
    about = {"set": "fern", "kind": kind, "quality": quality, "round": number, "seed": 0, "extra": []}
    measured = {
        "photos": 3,
        "held_out": 3,
        "wall": 30.0 + number,
        "stages": {"poses": 4.0, "fit": 20.0},
        "peak_mb": 900,
    }
    scene = {"planned_mb": 950, "psnr": psnr, "steps": 1000, "gaussians": 20_000, "scene": "same"}
    return {**about, **measured, **scene, "machine": MACHINE, "versions": VERSIONS, **news}


def test_page_of_speed_says_what_it_costs_and_what_was_not_run(tmp_path: Path) -> None:
    from speed import Page

    rows = [speed_row("timed", "standard", 30.0, number) for number in range(3)]
    rows += [speed_row("measured", "standard", 20.0), speed_row("longer", "standard", 20.25, steps=4000)]
    rows += [speed_row("timed", "draft", 28.0, scene="another"), speed_row("many", "draft", 19.0, wall=90.0)]
    Page(rows, "A quiet one.").write(tmp_path / "speed.md")
    text = (tmp_path / "speed.md").read_text()
    assert "| fern | standard | 3 | 31.0 | 30.0 … 32.0 | 900 | 1,000 | 20,000 | 20.00 | 3 | yes |" in text
    assert "| fern | draft | 1 | 30.0 | 30.0 … 30.0 | 900 | 1,000 | 20,000 | – | – | – |" in text
    assert "4 × the steps bring +0.25 dB on average: fern +0.25." in text
    assert "| standard | fern | 4.0 | 20.0 | 7.0 |" in text, "the rest is what no stage counts"
    assert "| fern | draft | 3 | 3 | 1.5 |" in text and "A quiet one." in text
    assert "First run" not in text, "nothing was run with an empty cache"


def test_page_of_speed_means_over_seeds(tmp_path: Path) -> None:
    from speed import Page

    rows = [speed_row("timed", "standard", 30.0)]
    for seed, (short, long) in enumerate([(20.0, 20.5), (21.0, 20.8)]):
        rows.append(speed_row("measured", "standard", short, seed=seed, scene="same" if seed else "another"))
        rows.append(speed_row("longer", "standard", long, steps=4000, seed=seed))
    rows.append(speed_row("longer", "standard", 30.0, steps=4000, seed=7))  # has nothing to be compared with
    Page(rows, "").write(tmp_path / "speed.md")
    text = (tmp_path / "speed.md").read_text()
    assert "| 20.50 (20.00 … 21.00) | 3 | yes |" in text, "one of the two has the timed run's scene"
    assert "4 × the steps bring +0.15 dB on average: fern +0.15 (+0.50 -0.20)." in text


def test_guard_tells_what_got_slower_alone() -> None:
    from guard import Ratio, changes

    before = dict.fromkeys(("same", "noisy", "slow", "quick", "gone"), Ratio(0.9, 1.0, 1.1))
    now = {
        "same": Ratio(0.9, 1.05, 1.2),
        "noisy": Ratio(1.0, 1.6, 2.0),  # one turn was as quick as before
        "slow": Ratio(1.2, 1.3, 1.4),
        "quick": Ratio(0.4, 0.5, 0.6),
        "new": Ratio(1.0, 1.0, 1.0),
    }
    words = changes(before, now, tolerance=0.05)
    assert [line.split(":")[0].split() for line in words] == [["quicker", "quick"], ["slower", "slow"]]
    assert "+30%" in words[1]
    assert Ratio.over([3.0, 1.0, 2.0]) == Ratio(1.0, 2.0, 3.0)
