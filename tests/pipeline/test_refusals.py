"""What a run that cannot go on leaves behind: a disk that fills up, photos that a recipe refuses."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.errors import InputError
from firstlight.files import alone_in
from firstlight.fitting import checkpoint
from firstlight.pipeline import stages
from firstlight.poses import PLACED_FILE, given
from firstlight.recipes import get_recipe
from firstlight.scene import Capture, Gaussians


def test_a_full_disk_stops_the_run_and_keeps_what_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = 0
    real: Any = getattr(checkpoint, "save_file")  # noqa: B009 (not for others to import)

    def save_file(tensors: Any, path: Any, about: Any) -> None:
        nonlocal saves
        saves += 1
        if saves > 2:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, path, about)

    monkeypatch.setattr(checkpoint, "save_file", save_file)
    folder = tmp_path / "run"
    capture = load_demo(with_cameras=True)
    with pytest.raises(InputError, match="No space left"):
        pipeline.fit(capture, "vanilla", out=folder, steps=60, max_size=96, checkpoint_seconds=0.0)
    saved = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert saved == ["step-00000001.safetensors", "step-00000002.safetensors"], "no half-written file is left"

    monkeypatch.setattr(checkpoint, "save_file", real)
    assert pipeline.resume(folder, photos=capture).complete


@dataclass(frozen=True)
class Refusing:
    """A start that finds something wrong with the photos."""

    def __call__(self, capture: Capture, generator: torch.Generator) -> Gaussians:
        raise InputError("nothing to start from")


def test_cameras_that_were_found_outlive_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may have taken minutes. Those that came with the photos cost nothing: the folder is free again."""
    with_cameras = load_demo(with_cameras=True)
    refusing = replace(get_recipe("vanilla"), name="refusing", start=Refusing())
    monkeypatch.setattr(stages._Stages, "found", lambda self, capture: given(with_cameras))
    for photos, kept in ((load_demo(), True), (with_cameras, False)):
        folder = tmp_path / str(kept)
        with pytest.raises(InputError, match="nothing to start from"):
            pipeline.fit(photos, refusing, out=folder, max_size=64)
        assert (folder / PLACED_FILE).exists() == (folder / "run.json").exists() == kept
    with pytest.raises(InputError, match="nothing to start from"):
        pipeline.resume(tmp_path / "True", photos=load_demo(), recipe=refusing)


def test_panoramas_with_moving_cameras_are_refused_at_once(tmp_path: Path) -> None:
    capture = load_demo()
    capture = replace(capture, photos=[replace(photo, panorama=True) for photo in capture.photos])
    with pytest.raises(InputError, match="refine-cameras"):
        pipeline.fit(capture, "instantsplat", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_panoramas_whose_cameras_training_photos_alone_should_give_are_refused(tmp_path: Path) -> None:
    capture = load_demo()
    capture = replace(capture, photos=[replace(photo, panorama=True) for photo in capture.photos])
    with pytest.raises(InputError, match="--poses all"):
        pipeline.fit(capture, "vanilla", out=tmp_path / "run", poses="train")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_a_generator_would_not_take_is_refused_at_once(tmp_path: Path, seed: int) -> None:
    with pytest.raises(InputError, match="expected 0 to"):
        pipeline.fit(load_demo(with_cameras=True), "vanilla", out=tmp_path / "run", seed=seed)
    assert not (tmp_path / "run").exists()


def test_where_photos_stay_without_a_camera_those_that_are_left_train() -> None:
    """Asked for among all of them, which was checked before minutes went into their cameras."""
    source = load_demo()
    placed = load_demo(with_cameras=True).select(range(20))
    assert len(pipeline.split_placed(placed, source, "every8", 20, "all").train) == 17
    with pytest.raises(InputError, match="22 training views"):
        source.split(views=22)


def test_cameras_of_double_precision_that_came_with_the_photos_are_not_aligned(tmp_path: Path) -> None:
    """With ``poses="train"`` too: nobody found or moved them."""
    capture = load_demo(with_cameras=True).select(range(9))
    assert capture.cameras is not None
    precise = replace(
        capture.cameras, viewmats=capture.cameras.viewmats.double(), Ks=capture.cameras.Ks.double()
    )
    capture = replace(capture, cameras=precise)
    run = pipeline.fit(capture, "vanilla", out=tmp_path / "run", steps=5, max_size=48, poses="train")
    assert run.summary["measured_on"] == "held-out photos"
    assert run.summary.get("psnr_unaligned_cameras") is None
    assert 0 <= run.summary["seen"] <= 1


def test_photos_are_found_again_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shots = tmp_path / "one" / "shots"
    shots.mkdir(parents=True)
    for i in range(4):
        (shots / f"{i}.png").touch()
    monkeypatch.chdir(tmp_path / "one")
    monkeypatch.setattr(
        stages, "load", lambda photos, progress: load_demo(with_cameras=True).select(range(4))
    )
    run = pipeline.fit("shots", "vanilla", out="run", steps=2, max_size=48)
    assert run.about["photos"] == str(shots)
    assert str(shots) not in (run.folder / "report.html").read_text(), "a page is passed on"


@pytest.fixture(scope="module")
def nine() -> Capture:
    return load_demo(with_cameras=True).select(range(9))


@pytest.fixture
def finished(nine: Capture, tmp_path: Path) -> pipeline.Run:
    return pipeline.fit(nine, "vanilla", out=tmp_path / "finished", steps=2, max_size=48)


def renamed(capture: Capture, index: int, name: str) -> Capture:
    photos = [replace(photo, name=name) if i == index else photo for i, photo in enumerate(capture.photos)]
    return replace(capture, photos=photos)


def test_measuring_again_holds_out_whom_the_run_held_out(finished: pipeline.Run, nine: Capture) -> None:
    """Whatever else lies beside the photos by now, which would make others every 8th."""
    split = finished.about["split"]
    more = renamed(load_demo(with_cameras=True).select(range(10)), 9, "aaa.webp")
    again = pipeline.evaluate(finished.folder, photos=more)
    assert again.about["split"] == split
    assert [photo["name"] for photo in again.about["per_photo"]] == split["test"]


def test_without_its_cameras_a_run_is_not_measured_again(finished: pipeline.Run, nine: Capture) -> None:
    (finished.folder / PLACED_FILE).unlink()
    before = (finished.folder / "poses.json").read_bytes()
    with pytest.raises(InputError, match="cameras are gone"):
        pipeline.evaluate(finished.folder, photos=nine)
    assert (finished.folder / "poses.json").read_bytes() == before


def test_photos_that_no_path_led_to_must_be_given_again(finished: pipeline.Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"finished.*Give them"):
        pipeline.evaluate(finished.folder)
    read = pipeline.fit(
        replace(load_demo(with_cameras=True).select(range(4)), source="/where/they/lie"),
        "vanilla", out=tmp_path / "read", steps=2, max_size=48,
    )  # fmt: skip
    assert read.about["photos"] == "/where/they/lie"
    assert "/where/" not in (read.folder / "report.html").read_text()


def test_a_mistyped_place_does_not_take_the_right_ones_place(finished: pipeline.Run, tmp_path: Path) -> None:
    finished.write(status="stopped", photos="demo")
    with pytest.raises(InputError, match="no such file"):
        pipeline.resume(finished.folder, photos=tmp_path / "typo")
    assert pipeline.Run.open(finished.folder).about["photos"] == "demo"


def test_a_photo_to_hold_out_that_has_no_camera_is_left_out(nine: Capture) -> None:
    names = [photo.name for photo in nine.photos]
    placed = nine.select(range(8))
    split = pipeline.split_placed(placed, nine, (names[2], names[8]), None, "all")
    assert [placed.photos[i].name for i in split.test] == [names[2]] and len(split.train) == 7


def test_a_folder_that_another_works_in_is_left_alone(nine: Capture, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with alone_in(folder):
        with pytest.raises(InputError, match="another firstlight"):
            pipeline.fit(nine, "vanilla", out=folder, steps=2, max_size=48)
        assert list(folder.iterdir()) == []


def test_recipes_that_begin_with_geometry_are_refused_without_it_at_once(tmp_path: Path) -> None:
    for name in ("edgs", "instantsplat", "coherentgs", "nerf-distill"):
        with pytest.raises(InputError, match="Choose a --geometry"):
            pipeline.fit(load_demo(), name, out=tmp_path / "run", geometry="none")
        assert not (tmp_path / "run").exists()
