"""Few photos without cameras: found from the training photos alone, refined, and measured honestly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> pipeline.Run:
    folder = tmp_path_factory.mktemp("few") / "run"
    options = ["--views", "6", "--poses", "train", "--refine-cameras", "--steps", "60", "--max-size", "96"]
    assert main(["fit", "demo", "--out", str(folder), *options]) == 0
    return pipeline.Run.open(folder)


def test_only_training_photos_and_those_to_measure_with_are_placed(run: pipeline.Run) -> None:
    split = load_demo().split(views=6)
    names = [photo.name for photo in load_demo().photos]
    assert run.about["split"]["train"] == [names[i] for i in split.train]
    assert run.about["split"]["test"] == [names[i] for i in split.test]
    poses = json.loads((run.folder / "poses.json").read_text())
    reasons = {photo["name"]: photo["reason"] for photo in poses["photos"]}
    assert sorted(reasons) == sorted(names[i] for i in [*split.train, *split.test])
    assert all(reasons[names[i]].endswith("refined with the scene") for i in split.train)
    assert all("without changing these" in reasons[names[i]] for i in split.test)


def test_who_is_held_out_is_decided_before_cameras_are_found() -> None:
    source = load_demo()
    split = source.split(views=6)
    placed = load_demo(with_cameras=True).select([*split.train[1:], *split.test[:1]])  # two found no camera
    found = pipeline.split_placed(placed, source, "every8", 6, "train")
    assert found.test == [5] and found.train == [0, 1, 2, 3, 4]


def test_held_out_cameras_are_aligned_and_the_run_says_so(run: pipeline.Run) -> None:
    assert "aligned to the frozen scene" in run.summary["measured_on"]
    assert run.summary["psnr"] > run.summary["psnr_unaligned_cameras"] > 10
    assert "aligned to the finished scene" in (run.folder / "report.html").read_text()


def test_measuring_again_aligns_again(
    run: pipeline.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run.summary
    assert main(["eval", str(run.folder), "--json", str(tmp_path / "numbers.json")]) == 0
    after = json.loads((tmp_path / "numbers.json").read_text())["summary"]
    seen = f"{after['seen']:.0%} of the pixels: psnr {after['psnr_seen']:.3f}, ssim {after['ssim_seen']:.3f}"
    assert f"where a training photo looks too, {seen}" in capsys.readouterr().out
    for metric in ("psnr", "psnr_unaligned_cameras"):
        assert after[metric] == pytest.approx(before[metric], abs=0.02)


def test_numbers_with_and_without_what_no_training_photo_saw(run: pipeline.Run) -> None:
    summary = run.summary
    assert 0.3 < summary["seen"] <= 1 and summary["psnr_seen"] > 10
    for photo in run.about["per_photo"]:
        assert (run.folder / photo["files"]["seen"]).is_file()
    assert "no training photo shows it" in (run.folder / "report.html").read_text()
