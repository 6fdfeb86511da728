"""The command line from outside: statuses, one message, nothing lost."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from firstlight import pipeline
from firstlight.cli import main
from firstlight.cli._listings import EXTRAS
from firstlight.cli._output import conclude, write_json
from firstlight.scene import Gaussians
from tests.scenes import random_gaussians


def noise(seed: int, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """A picture of blobs: plenty to find again, nothing that another seed has."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((size[0] // 4, size[1] // 4)).resize(size, Image.Resampling.BICUBIC)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must be refused; gives its one message."""
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    message = next(line for line in error.splitlines() if line.startswith("firstlight: "))
    assert "Traceback" not in error
    return message


def test_a_name_that_the_terminal_cannot_show_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    random_gaussians(4).save(tmp_path / "a.ply")
    monkeypatch.setattr(sys, "stdout", shown)
    assert main(["convert", str(tmp_path / "a.ply"), str(tmp_path / "größe\udcff.splat")]) == 0
    assert (tmp_path / "größe\udcff.splat").exists()


def test_a_name_that_is_too_long_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert "too long" in refused(capsys, "info", "a" * 300)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def test_folder_that_is_not_there(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere" in refused(capsys, "fit", "nowhere", "--out", str(out))


def test_empty_folder(photos: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert str(photos) in refused(capsys, "fit", str(photos), "--out", str(out))


def test_one_photo(photos: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise(0).save(photos / "only.png")
    assert "two or more" in refused(capsys, "fit", str(photos), "--out", str(out))
    assert not out.exists(), "a refused run leaves its folder free"


def test_photos_of_different_scenes(photos: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(4):
        noise(seed).save(photos / f"{seed}.png")
    assert "overlap" in refused(capsys, "fit", str(photos), "--out", str(out))


def test_photos_without_masks_are_refused_before_cameras_are_found(
    photos: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(2):
        noise(seed).save(photos / f"{seed}.png")
    message = refused(capsys, "fit", str(photos), "--out", str(out), "--recipe", "sgpose")
    assert "0.png: has no mask" in message and not out.exists()


def test_unusable_files_are_named(photos: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise(0).save(photos / "cut.jpg")
    (photos / "cut.jpg").write_bytes((photos / "cut.jpg").read_bytes()[:2000])
    (photos / "zero.jpg").touch()
    Image.new("RGB", (1, 1)).save(photos / "dot.png")
    Image.new("RGB", (64, 64)).save(photos / "black.png")
    message = refused(capsys, "fit", str(photos), "--out", str(out))
    assert "no photo can be used" in message and "cut short" in message

    noise(0).save(photos / "good.png")
    assert main(["fit", str(photos), "--out", str(out)]) == 2  # one alone is too few; the others are named
    said = capsys.readouterr().err
    for name in ("cut.jpg", "zero.jpg", "dot.png", "black.png"):
        assert name in said


def test_transforms_without_poses(photos: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "transforms.json").write_text(json.dumps({"frames": [{"file_path": "a.png"}]}))
    noise(0).save(photos / "a.png")
    assert "transforms.json" in refused(capsys, "fit", str(photos), "--out", str(out))


def test_ply_with_a_lying_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "liar.ply"
    properties = "".join(f"property float {name}\n" for name in ("x", "y", "z", "opacity"))
    path.write_text(
        f"ply\nformat binary_little_endian 1.0\nelement vertex 1000000000000\n{properties}end_header\n"
    )
    assert "liar.ply" in refused(capsys, "info", str(path))


def test_ply_with_nan_positions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nan.ply"
    scene = Gaussians.isotropic(torch.full((3, 3), 0.625), torch.rand(3, 3), torch.ones(3))
    scene.save(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(np.float32(0.625).tobytes(), np.float32(np.nan).tobytes(), 1))
    assert "nan.ply" in refused(capsys, "info", str(path))


@pytest.mark.skipif(os.name == "nt", reason="folders are made read-only in another way there")
def test_read_only_output(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise(0).save(photos / "a.png")
    blocked = tmp_path / "file"
    blocked.touch()  # no folder can be made below a file, whoever asks: root may write to read-only folders
    assert str(blocked) in refused(capsys, "fit", str(photos), "--out", str(blocked / "run"))
    if os.getuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o555)
        assert "locked" in refused(capsys, "fit", str(photos), "--out", str(locked / "run"))


def test_full_output_folder_is_left_alone(
    photos: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert "not empty" in refused(capsys, "fit", str(photos), "--out", str(out))
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("arguments", [("--steps", "0"), ("--max-size", "3"), ("--recipe", "nonesuch")])
def test_settings_out_of_range(
    arguments: tuple[str, str], photos: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, "fit", str(photos), "--out", str(out), *arguments)
    assert not out.exists()


def test_info_gives_a_name_with_brackets_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Gaussians.isotropic(torch.rand(3, 3), torch.rand(3, 3), torch.ones(3)).save("room [final].ply")
    assert main(["info", "room [final].ply"]) == 0
    assert "room [final].ply (" in capsys.readouterr().out


def test_view_and_eval_of_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, "view", str(tmp_path / "nothing"))
    refused(capsys, "eval", str(tmp_path))


def test_resume_needs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--out" in refused(capsys, "fit", "photos", "--resume")
    assert "run.json" in refused(capsys, "fit", "photos", "--resume", "--out", str(tmp_path))


def test_resume_does_not_take_other_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor does it drop them without a word."""
    options = {"recipe": "vanilla", "steps": 5, "hold_out": "every8"}
    (tmp_path / "run.json").write_text(json.dumps({"options": options, "status": "stopped"}))
    line = ("fit", str(tmp_path / "photos"), "--resume", "--out", str(tmp_path))
    told = refused(capsys, *line, "--geometry", "stereo")
    assert "--geometry stereo" in told and "began with None" in told
    assert "--steps 6" in refused(capsys, *line, "--steps", "6")
    assert "--steps" not in refused(capsys, *line, "--steps", "5", "--recipe", "vanilla")


def test_numbers_that_json_has_no_word_for(tmp_path: Path) -> None:
    content = {"psnr": math.inf, "rows": [{"ssim": math.nan, "n": 1.5}], "name": "a"}
    write_json(tmp_path / "a.json", content)
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail) == {
        "psnr": None, "rows": [{"ssim": None, "n": 1.5}], "name": "a",
    }  # fmt: skip


def test_listings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    told = capsys.readouterr().out
    assert "mcmc" in told and "Apache-2.0" in told and "pretrained weights" in told
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "torch" in told and "--geometry stereo" in told and "licence" in told
    if any(pipeline.package_version(package) == "not installed" for package, _, _ in EXTRAS):
        assert "firstlight[" in told, "brackets are no markup"


def test_the_line_to_go_on_with_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pipeline.Run(tmp_path / "my [/a] run", {"status": "stopped", "summary": {"steps": 1234}})
    monkeypatch.setattr(sys, "argv", ["some where/firstlight"])
    photos = "photos [old]/of a trip, with a name that is long " + "x" * 99
    assert conclude(run, photos) == 1
    line = capsys.readouterr().out.splitlines()[1]
    assert shlex.split(line) == ["some where/firstlight", "fit", photos, "--out", str(run.folder), "--resume"]


def test_help_does_not_import_torch() -> None:
    program = "import sys, firstlight.cli; sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_garbage_is_collected_again_once_a_command_has_its_modules(tmp_path: Path) -> None:
    program = f"""
import gc
from firstlight.cli import main
assert main(["fit", {str(tmp_path / "missing")!r}]) == 2
frozen = gc.get_freeze_count()
assert gc.isenabled() and frozen > 0
assert main(["fit", {str(tmp_path / "missing")!r}]) == 2
assert gc.isenabled() and gc.get_freeze_count() <= frozen, "only what was imported is left out"
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_public_names_are_there() -> None:
    import firstlight as fl

    for name in fl.__all__:
        assert getattr(fl, name) is not None
    assert callable(fl.fit) and callable(fl.load)
