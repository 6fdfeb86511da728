"""Comparisons: what they share, how they grow, what fails alone, and their page."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from firstlight.capture import load_demo, place_of
from firstlight.cli import main
from firstlight.comparison import Comparison, Plan, Trial, _cameras, _compare, compare
from firstlight.comparison._results import Spread, make_row
from firstlight.comparison._trial import Failure
from firstlight.errors import InputError
from firstlight.fitting import Recipe
from firstlight.pipeline import Run
from firstlight.poses import Placed, given
from firstlight.progress import Progress
from firstlight.recipes import get_recipe
from firstlight.scene import Capture, Gaussians, Split
from firstlight.starts import RandomBox
from tests.browser import watch_requests

BUDGET: dict[str, Any] = {"steps": 30, "max_size": 64}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine of the demo's photos, tiny, with their cameras, as nerfstudio's layout."""
    folder = tmp_path_factory.mktemp("photos")
    capture = load_demo(with_cameras=True).resized(64).select(range(9))
    assert capture.cameras is not None
    frames = []
    for i, photo in enumerate(capture.photos):
        name = f"{i:02d}.png"
        cv2.imwrite(str(folder / name), photo.decode().rgb[..., ::-1])
        to_world = torch.linalg.inv(capture.cameras.viewmats[i].double())
        to_world[:, 1:3] *= -1  # OpenGL's axes
        K = capture.cameras.Ks[i].tolist()
        frames.append(
            {"file_path": name, "transform_matrix": to_world.tolist(), "w": photo.width, "h": photo.height,
             "fl_x": K[0][0], "fl_y": K[1][1], "cx": K[0][2], "cy": K[1][2]}
        )  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps({"frames": frames}))
    return folder


@dataclass(frozen=True)
class Failing:
    """A start with a bug."""

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        raise ZeroDivisionError("a bug")


VANILLA = replace(get_recipe("vanilla"), start=RandomBox(300))
SPARSE = replace(get_recipe("vanilla"), name="sparse")
BROKEN = replace(VANILLA, name="broken", start=Failing())


def test_a_comparison_runs_grows_and_goes_on(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = compare(photos, [VANILLA, BROKEN], views=(3,), out=out, **BUDGET)
    vanilla, broken = first.rows
    assert vanilla.numbers["steps"].mean == 30 and vanilla.numbers["psnr"].mean > 5
    assert not broken.numbers and "a bug" in broken.failures[0]
    assert "failed" in first.page.read_text()

    assert 0 < vanilla.numbers["seen"].mean <= 1 and "PSNR seen" in first.page.read_text()
    run = out / "trials" / "vanilla-3-0" / "run.json"
    timings = json.loads(run.read_text())["timings"]
    assert vanilla.numbers["seconds"].mean == pytest.approx(
        sum(timings[stage] for stage in ("poses", "prepare", "fit")), abs=0.01
    )
    stamp, split = run.stat().st_mtime_ns, json.loads(run.read_text())["split"]
    assert len(split["train"]) == 3 and len(split["test"]) == 2
    other = replace(VANILLA, name="other", start=RandomBox(200))
    grown = compare(photos, [VANILLA, other], views=(3,), seeds=(0, 1), out=out, **BUDGET)
    assert run.stat().st_mtime_ns == stamp, "a finished trial was run again"
    # 'broken' is a name that the command line does not know, yet its plan is in the folder.
    assert {row.recipe for row in grown.rows} == {"vanilla", "other"}
    assert [len(row.trials) for row in grown.rows] == [2, 2]
    again = json.loads((out / "trials" / "other-3-1" / "run.json").read_text())
    assert again["split"] == split, "trials must share the split"

    # Cut short by a version that knew one setting less: it cannot be gone on with, and is no failure.
    del again["recipe"]["antialiased"]
    again["options"]["forgotten"] = 1
    (out / "trials" / "other-3-1" / "run.json").write_text(json.dumps(again | {"status": "running"}))
    rows = compare(photos, [other], views=(3,), out=out, **BUDGET).rows
    (other_row,) = (row for row in rows if row.recipe == "other")
    assert not other_row.failures and len(other_row.trials) == 2
    assert (out / "trials" / "other-3-1-before").is_dir()


def test_what_a_recipe_optimises_may_need_depth(photos: Path, tmp_path: Path) -> None:
    found = compare(photos, ["coherentgs"], views=(3,), out=tmp_path / "out", steps=4, max_size=64)
    assert not found.rows[0].failures
    assert found.rows[0].numbers["steps"].mean == 4


def test_cameras_of_training_photos_alone_are_shared_by_all_recipes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = compare("demo", [SPARSE], views=(1, 6), poses="train", out=out, steps=10, max_size=64)
    alone, six = found.rows
    assert alone.state == "skipped" and "no cameras" in alone.why, "one photo has none"
    assert not (out / "trials" / "sparse-1-0").exists() and not (out / "poses" / "1").exists()
    about = Run.open(out / "trials" / "sparse-6-0").about
    capture = load_demo()
    split = capture.split(views=6)
    names = [photo.name for photo in capture.photos]
    assert about["split"]["train"] == [names[i] for i in split.train]
    assert about["split"]["test"] == [names[i] for i in split.test]
    assert about["options"]["poses"] == "train" and about["options"]["views"] == 6
    assert "aligned" in about["summary"]["measured_on"] and six.numbers["psnr"].mean > 5
    placed, mine = (json.loads((folder / "poses.json").read_text())["photos"] for folder in
                    (out / "poses" / "6", out / "trials" / "sparse-6-0"))  # fmt: skip
    assert placed == mine and {photo["name"] for photo in mine} == set(
        about["split"]["train"] + about["split"]["test"]
    )
    assert len(found.pose_seconds) == 2
    told = f"found from training photos alone in {found.pose_seconds[0]:.0f} s for 1"
    assert found.cameras().startswith(told) and told in found.page.read_text()


def test_a_script_that_cannot_be_read_again_is_told_so(photos: Path, tmp_path: Path) -> None:
    script = f"from firstlight import compare\ncompare({str(photos)!r}, ['vanilla'], out='out', steps=2)"
    ended = subprocess.run(
        [sys.executable, "-"], input=script, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0 and '`if __name__ == "__main__":`' in ended.stderr


def test_a_budget_of_minutes_becomes_steps(photos: Path, tmp_path: Path) -> None:
    recipe = replace(VANILLA, steps=100)
    found = compare(photos, [recipe], minutes=0.1, max_size=64, out=tmp_path / "out")
    assert found.rows[0].numbers["steps"].mean > 0


def test_a_recipe_that_needs_what_photos_have_not_is_skipped(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = []

    def run(plan: Plan, trial: Trial, recipe: Recipe, folder: Path) -> Run | Failure:
        begun.append(trial.recipe)
        if trial.recipe == "mcmc":
            return Failure("a bug")
        made = Run(folder / "trials" / trial.folder, {"options": {}})
        summary = {"psnr": 20.0, "gaussians": 9}
        made.write(status="complete", timings={"fit": 1.0}, summary=summary, recipe=recipe.to_dict())
        return made

    monkeypatch.setattr(_compare, "run_trial", run)
    command = ["compare", str(photos), "--views", "3", "--out", str(tmp_path / "out"), "--steps", "30"]
    assert main([*command, "--recipes", "vanilla", "sgpose"]) == 0
    assert begun == ["vanilla"] and "skipped: 01.png: has no mask" in capsys.readouterr().out
    row = next(row for row in Comparison.open(tmp_path / "out").rows if row.recipe == "sgpose")
    assert not row.failures and row.why.startswith("skipped: 01.png: has no mask")
    assert "skipped: 01.png: has no mask" in (tmp_path / "out" / "compare.html").read_text()
    assert main([*command, "--recipes", "mcmc"]) == 1, "one that failed is not skipped"
    assert main([*command[:-4], "--out", str(tmp_path / "none"), "--recipes", "sgpose"]) == 1, "no number"


def test_a_stopped_comparison_has_a_page_of_the_rounds_it_finished(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(plan: Plan, trial: Trial, recipe: Recipe, folder: Path) -> Failure:
        if trial.views == 4:
            raise KeyboardInterrupt
        return Failure(f"a bug in {trial.recipe}")

    monkeypatch.setattr(_compare, "run_trial", run)
    with pytest.raises(KeyboardInterrupt):
        compare(photos, [VANILLA, BROKEN], views=(3, 4), out=tmp_path / "out", **BUDGET)
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "failed: a bug in vanilla" in page and "failed: a bug in broken" in page
    assert "not run yet" in page


def test_plans_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    plan = Plan("a", ("vanilla",), steps=30)
    plan.save(tmp_path)
    assert Plan("a", ("mcmc",), (3, None), (1,), steps=30).joined(tmp_path) == Plan(
        "a", ("vanilla", "mcmc"), (None, 3), (0, 1), steps=30
    )
    changed = ({"photos": "b"}, {"steps": 40}, {"max_size": 100}, {"poses": "train"})
    for other in (replace(plan, **news) for news in changed):
        with pytest.raises(InputError, match="choose another --out"):
            other.joined(tmp_path)
    with pytest.raises(InputError, match="not both"):
        Plan("a", ("vanilla",), steps=1, minutes=1.0)
    for size in (8, 0, -5):
        with pytest.raises(InputError, match="at least 16"):
            Plan("a", ("vanilla",), max_size=size)
    with pytest.raises(InputError, match="no recipes"):
        Plan("a", ())
    with pytest.raises(InputError, match="share a folder"):
        Plan("a", ("A b", "a_b"))
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(InputError, match=r"plan\.json"):
        plan.joined(tmp_path)


def test_bad_input_leaves_nothing_behind(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="training views"):
        compare(photos, [VANILLA], views=(40,), out=out, **BUDGET)
    with pytest.raises(InputError, match="No recipe"):
        compare(photos, ["nonsense"], out=out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no comparison"):
        compare(photos, [VANILLA], out=tmp_path / "full", **BUDGET)


def test_spread_over_seeds() -> None:
    assert Spread(21.304, 21.2, 21.41).words(2) == "21.30 ± 0.11"
    assert Spread(40_000, 40_000, 40_000).words(0) == "40,000"
    row = make_row("a", 3, {Trial("a", 3, 0): Failure("why"), Trial("b", 3, 0): Failure("not mine")})
    assert row.failures == ("why",) and row.words("psnr", 2) == "–"


@pytest.mark.browser
def test_the_page_moves_all_pictures_together(photos: Path, tmp_path: Path, browser_page: Any) -> None:
    hostile = replace(VANILLA, name="<img src=x onerror=document.title='pwned'>", start=RandomBox(200))
    found = compare(photos, [VANILLA, hostile], views=(3,), out=tmp_path / "out", **BUDGET)
    page = browser_page
    outside, complaints = watch_requests(page), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(found.page.as_uri())
    pictures = page.locator(".tiles-grid:not([hidden]) img:visible")
    assert pictures.count() == 3  # the photo and a render of each recipe
    page.wait_for_function("[...document.images].every(i => i.complete)")
    windows = page.locator(".tiles-grid:not([hidden]) .window")

    before = _pixels(windows.nth(1))
    windows.nth(2).hover(position={"x": 100, "y": 80})
    page.mouse.wheel(0, -400)
    page.wait_for_function("document.documentElement.style.getPropertyValue('--move') !== ''")
    assert np.abs(_pixels(windows.nth(1)) - before).mean() > 6, "the first recipe did not follow the second"
    windows.nth(2).dblclick()
    assert np.abs(_pixels(windows.nth(1)) - before).mean() < 3

    page.locator(".pairs label").nth(1).click()
    assert page.locator(".tiles-grid:not([hidden]) img[data-kind=error]:visible").count() == 2
    page.locator(".legend input").nth(0).uncheck()
    assert page.locator(".tiles-grid:not([hidden]) figure:visible").count() == 2
    page.locator(".choice button").nth(1).click()
    assert page.locator(".tiles-grid:not([hidden])").get_attribute("data-place") == "1"
    assert "compare" in page.title() and outside == [] and complaints == []


def _pixels(element: Any) -> np.ndarray[Any, Any]:
    shot = cv2.imdecode(np.frombuffer(element.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert shot is not None
    return np.asarray(shot, np.float32)


def test_photos_of_which_none_can_be_held_out_are_not_compared(photos: Path, tmp_path: Path) -> None:
    stored = json.loads((photos / "transforms.json").read_text())
    (photos / "three.json").write_text(json.dumps({"frames": stored["frames"][:3]}))
    with pytest.raises(InputError, match="Give four or more"):
        compare(photos / "three.json", [VANILLA], out=tmp_path / "out", **BUDGET)
    assert not (tmp_path / "out").exists()


def test_what_is_named_twice_is_compared_once(photos: Path, tmp_path: Path) -> None:
    found = compare(
        photos, [VANILLA], views=(3, 3), seeds=(0, 0), out=tmp_path / "out", poses="train", **BUDGET
    )
    assert len(found.rows) == len(found.rows[0].trials) == 1
    assert "aligned to each finished scene" not in found.page.read_text(), "cameras came with the photos"


ORPHAN = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from firstlight.comparison._trial import _end_with_parent

def work():
    _end_with_parent()
    print("at work", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(work).result()
"""


def test_a_trial_ends_with_its_comparison(tmp_path: Path) -> None:
    """However that ends: a trial that goes on would write into what the next comparison goes on with."""
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as comparison:
        assert comparison.stdout is not None and comparison.stdout.readline() == b"at work\n"
        comparison.kill()
        # Its output ends when nobody has it open any more, neither it nor the trial.
        assert comparison.communicate(timeout=60)[0] == b""


def test_cameras_of_one_comparison_are_found_in_one_way(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was stopped between two numbers of views."""
    alone = tmp_path / "photos"
    copytree(photos, alone, ignore=ignore_patterns("*.json"))
    found: list[str] = []

    def find_cameras(source: Capture, split: Split, matcher: str, progress: Progress) -> Placed:
        found.append(matcher)
        if len(found) == 2:
            raise KeyboardInterrupt
        known = load_demo(with_cameras=True).resized(64).select(range(9))
        return given(replace(known, photos=source.photos).select(split.train))

    monkeypatch.setattr(_cameras, "find_cameras", find_cameras)
    asked: dict[str, Any] = {"views": (3, 6), "poses": "train", "out": tmp_path / "out", **BUDGET}
    with pytest.raises(KeyboardInterrupt):
        compare(alone, [VANILLA], **asked)
    with pytest.raises(InputError, match="matcher = sift, not aliked"):
        compare(alone, [VANILLA], matcher="aliked", **asked)
    assert found == ["sift", "sift"]


def test_a_comparison_goes_on_wherever_its_photos_are_called_from(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Plan(str(photos), ("vanilla",), **BUDGET).save(tmp_path)
    monkeypatch.chdir(photos.parent)
    plan = Plan(place_of(f"{photos.name}/"), ("mcmc",), **BUDGET).joined(tmp_path)
    assert set(plan.recipes) == {"vanilla", "mcmc"}


def test_a_trial_without_a_number_is_a_line_like_any(tmp_path: Path) -> None:
    run = Run(tmp_path, {"summary": {"psnr": None, "gaussians": 7}, "timings": {"fit": 1.0}})
    assert "no PSNR, 7 Gaussians" in _compare._words(Trial("vanilla", 3, 0), run)


def test_two_recipes_of_one_name_are_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="called 'vanilla'"):
        compare(photos, ["vanilla", replace(VANILLA, dropout=0.1)], out=tmp_path / "out")
