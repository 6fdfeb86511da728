"""firstlight convert: what each change does, together and on the command line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import firstlight as fl
from firstlight.cli import main
from firstlight.errors import InputError
from firstlight.files import FORMATS, scene_file
from firstlight.render import render_camera
from firstlight.scene import Gaussians, Similarity
from tests.scenes import random_gaussians, ring


@pytest.fixture
def scene(tmp_path: Path) -> Gaussians:
    scene = random_gaussians(500, 2)
    scene.save(tmp_path / "a.ply")
    return scene


def converted(folder: Path, **changes: Any) -> Gaussians:
    written = fl.convert(folder / "a.ply", folder / "b.ply", **changes)
    read = Gaussians.load(folder / "b.ply")
    for a, b in zip(written, read, strict=True):
        assert torch.equal(a, b)
    return read


def test_nothing_changes_by_itself(tmp_path: Path, scene: Gaussians) -> None:
    for a, b in zip(converted(tmp_path), scene, strict=True):
        assert torch.equal(a, b)


def test_what_is_kept(tmp_path: Path, scene: Gaussians) -> None:
    box = converted(tmp_path, box=(-1, -0.5, -2, 0.5, 1, 0))
    low, high = torch.tensor([-1, -0.5, -2]), torch.tensor([0.5, 1, 0])
    kept = ((scene.means >= low) & (scene.means <= high)).all(1)
    assert torch.equal(box.means, scene.means[kept]) and 0 < len(box) < 500
    ball = converted(tmp_path, sphere=(1, 0, 0, 0.8))
    assert torch.equal(ball.means, scene.means[(scene.means - torch.tensor([1.0, 0, 0])).norm(dim=1) <= 0.8])
    assert torch.equal(converted(tmp_path, min_opacity=0.6).means, scene.means[scene.opacities >= 0.6])
    few = converted(tmp_path, keep=50)
    assert len(few) == 50
    assert float(few.importance.min()) >= float(scene.importance.sort(descending=True).values[49])
    assert converted(tmp_path, degree=1).degree == 1
    assert converted(tmp_path, degree=4).degree == 2
    both = converted(tmp_path, min_opacity=0.5, sphere=(0, 0, 0, 1), keep=10_000)
    assert (both.opacities >= 0.5).all() and (both.means.norm(dim=1) <= 1).all()


def test_several_become_one(tmp_path: Path, scene: Gaussians) -> None:
    random_gaussians(20, 3, seed=1).save(tmp_path / "other.spz")
    merged = fl.convert([tmp_path / "a.ply", tmp_path / "other.spz"], tmp_path / "both.sog")
    assert (len(merged), merged.degree) == (520, 3)
    assert torch.equal(merged.means[:500], scene.means)
    assert not merged.sh[:500, 9:].any()
    assert len(Gaussians.load(tmp_path / "both.sog")) == 520


def test_a_turned_scene_looks_the_same_from_a_turned_camera(tmp_path: Path, scene: Gaussians) -> None:
    """Scale, turn, then move; harmonics turn along."""
    moved = converted(tmp_path, scale=1.5, rotate=(20, -50, 110), translate=(1, 2, -3))
    c, s = torch.tensor([20.0, -50, 110]).deg2rad().cos(), torch.tensor([20.0, -50, 110]).deg2rad().sin()
    about_x = torch.tensor([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    about_y = torch.tensor([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    about_z = torch.tensor([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    turn = about_z @ about_y @ about_x
    torch.testing.assert_close(moved.means, 1.5 * scene.means @ turn.T + torch.tensor([1.0, 2, -3]))
    camera = ring(1).select([0])
    other = camera.transform(Similarity(1.5, turn.double(), torch.tensor([1.0, 2, -3]).double()))
    a, b = render_camera(scene, camera)[0], render_camera(moved, other)[0]
    assert float((a - b).abs().mean()) < 1e-4


@pytest.mark.parametrize("was", ["x", "y", "z", "-x", "-y", "-z"])
@pytest.mark.parametrize("up", ["x", "y", "z", "-x", "-y", "-z"])
def test_up_becomes_up(tmp_path: Path, was: Any, up: Any) -> None:
    def direction(axis: str) -> list[float]:
        return [(-1.0 if "-" in axis else 1.0) * (name == axis[-1]) for name in "xyz"]

    scene = random_gaussians(2, 1)
    scene.means[0], scene.means[1] = torch.tensor(direction(was)), torch.tensor([1.0, 2, 3])
    scene.save(tmp_path / "a.ply")
    turned = converted(tmp_path, up=up, up_was=was)
    assert turned.means[0].tolist() == direction(up)
    assert sorted(turned.means[1].abs().tolist()) == [1, 2, 3]  # between axes nothing is rounded


def test_bad_requests_are_refused(tmp_path: Path, scene: Gaussians) -> None:
    for changes, words in (
        ({"box": (1, 0, 0, 0, 1, 1)}, "lower"),
        ({"sphere": (0, 0, 0, 0)}, "radius"),
        ({"keep": 0}, "at least 1"),
        ({"degree": 5}, "0 to 4"),
        ({"scale": 0}, "above 0"),
        ({"scale": math.inf}, "no infinity"),
        ({"scale": 1e300}, r"never\.ply: .* too large"),
        ({"translate": (0, 1e300, 0)}, r"never\.ply: .* too large"),
        ({"translate": (0, math.nan, 0)}, "finite"),
        ({"rotate": (math.inf, 0, 0)}, "finite"),
        ({"min_opacity": 1.1}, "nothing is left"),
        ({"spz_version": 4}, "not one"),
    ):
        with pytest.raises(InputError, match=words):
            fl.convert(tmp_path / "a.ply", tmp_path / "never.ply", **changes)
    assert not (tmp_path / "never.ply").exists()


@pytest.mark.parametrize("ending", [format.ending for format in FORMATS if format.write])
def test_a_huge_scene_is_written_or_refused(tmp_path: Path, scene: Gaussians, ending: str) -> None:
    out = tmp_path / (ending if "json" in ending else f"b{ending}")
    if ending == ".spz":
        with pytest.raises(InputError, match=r"b\.spz: .* too far out"):
            fl.convert(tmp_path / "a.ply", out, scale=1e30)
        return
    written = fl.convert(tmp_path / "a.ply", out, scale=1e30)
    read = Gaussians.load(out)
    assert len(read) == 500
    assert float(read.means.abs().max() / written.means.abs().max()) == pytest.approx(1, abs=0.01)


def test_on_the_command_line(tmp_path: Path, scene: Gaussians, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    scene.save(run / "scene.ply")
    assert main(["convert", str(run), str(tmp_path / "out.spz"), "--up=-z", "--keep", "100", "--degree", "1",
                 "--spz-version", "4", "--box", "-9", "-9", "-9", "9", "9", "9"]) == 0  # fmt: skip
    assert "100 Gaussians" in capsys.readouterr().out
    assert (tmp_path / "out.spz").read_bytes()[4] == 4
    assert main(["info", str(tmp_path / "out.spz")]) == 0
    said = capsys.readouterr().out
    assert "SPZ" in said and "100 of" in said and "degree 1" in said
    assert main(["convert", str(run), str(tmp_path / "folder" / "meta.json")]) == 0
    assert main(["convert", str(run), str(run / "meta.json")]) == 0
    assert scene_file(run) == run / "scene.ply"  # a run stays its own scene
    assert main(["info", str(tmp_path / "folder")]) == 0
    assert main(["convert", str(run), str(tmp_path / "huge.ply"), "--scale", "1e300"]) == 2
    assert "huge.ply" in capsys.readouterr().err
    assert main(["convert", str(run)]) == 2
    assert main(["convert", str(run), str(tmp_path / "out.obj")]) == 2
    assert ".spz" in capsys.readouterr().err


def test_describe_counts_all_files_of_a_folder(tmp_path: Path, scene: Gaussians) -> None:
    scene.save(tmp_path / "sog" / "meta.json")
    about = fl.describe(tmp_path / "sog")
    assert about["bytes"] == sum(file.stat().st_size for file in (tmp_path / "sog").iterdir())
    assert (about["gaussians"], about["sh_degree"], about["format"]) == (500, 2, "SOG folder")
