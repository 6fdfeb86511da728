"""What is seen, the rate–distortion curve, and files of a wanted size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from firstlight import cli
from firstlight.compress import (
    cameras_around,
    compress,
    compress_file,
    encode_at,
    measure_sensitivity,
    size_in_words,
)
from firstlight.compress._search import pictures, psnr
from firstlight.compress._seen import _mean_squares
from firstlight.errors import InputError
from firstlight.files import Seen, decode_flz, encode_flz
from firstlight.progress import Silent
from firstlight.render import render_camera
from firstlight.scene import Cameras, Gaussians, Similarity
from tests.scenes import random_gaussians, ring


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    scene = random_gaussians(3000, 2)
    scene.means *= 0.5  # none right before a camera
    scene.log_scales -= 1
    return scene


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    return ring(8)


def test_random_signs_measure_what_finite_differences_do(cameras: Cameras) -> None:
    scene = random_gaussians(6, 0)
    probed = _mean_squares(scene, cameras.select([0, 1]), 100, 0, Silent())["sh"]
    step = 1e-2
    for i in range(len(scene)):
        squares = 0.0
        for camera in range(2):
            moved = scene.clone()
            moved.sh[i, 0, 1] += step
            a, b = (render_camera(one, cameras.select([camera]))[0] for one in (moved, scene))
            squares += float(((a - b) / step).square().sum())
        expected = squares / (2 * 3 * 64 * 48)
        assert float(probed[i, 0, 1]) == pytest.approx(expected, rel=0.4, abs=1e-7)


def test_the_curve_is_monotone(scene: Gaussians, cameras: Cameras) -> None:
    sensitivity = measure_sensitivity(scene, cameras.select(slice(0, None, 2)))
    compared = cameras.select(slice(1, None, 2))
    original = pictures(scene, compared)
    sizes, errors = [], []
    for quality in (4.0, 6.0, 8.0, 10.0):
        data, _ = encode_at(scene, sensitivity, quality)
        sizes.append(len(data))
        errors.append(psnr(pictures(decode_flz(data, Path("x.flz")), compared), original))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors)
    assert errors[-1] > 40


def test_what_is_seen_is_worth_measuring(scene: Gaussians, cameras: Cameras) -> None:
    """Equal steps for all, at about the same size, give worse pictures."""
    sensitivity = measure_sensitivity(scene, cameras.select(slice(0, None, 2)))
    compared = cameras.select(slice(1, None, 2))
    original = pictures(scene, compared)
    data, _ = encode_at(scene, sensitivity, 8.0)
    measured = psnr(pictures(decode_flz(data, Path("x.flz")), compared), original)
    alike = Seen(torch.full((3000,), 11.0).numpy(), torch.full((3000,), 11.0).numpy())
    for quality in (7.0, 8.0, 9.0, 10.0, 11.0):
        flat = encode_flz(scene, steps=sensitivity.steps.times(2.0**-quality), seen=alike)
        if len(flat) >= len(data):
            break
    assert measured > psnr(pictures(decode_flz(flat, Path("x.flz")), compared), original)


@pytest.mark.parametrize("target", [25_000, 60_000])
def test_targets_are_met(scene: Gaussians, cameras: Cameras, target: int) -> None:
    made = compress(scene, target, cameras, cameras)
    assert abs(made.point.bytes - target) <= 0.05 * target
    assert len(made.data) == made.point.bytes
    assert made.point in made.curve
    assert len(decode_flz(made.data, Path("x.flz"))) == made.point.gaussians


def test_a_target_that_cannot_be_met(scene: Gaussians, cameras: Cameras) -> None:
    with pytest.raises(InputError, match="the least"):
        compress(scene, 100, cameras, cameras)


def test_the_command(scene: Gaussians, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene.save(tmp_path / "scene.ply")
    arguments = ["--target-mb", "0.03", "--max-size", "64", "--json", str(tmp_path / "curve.json")]
    assert cli.main(["compress", str(tmp_path / "scene.ply"), *arguments]) == 0
    size = (tmp_path / "scene.flz").stat().st_size
    assert abs(size - 30_000) <= 1500
    curve = json.loads((tmp_path / "curve.json").read_text())
    assert curve["chosen"] in curve["curve"]
    assert curve["chosen"]["bytes"] == size
    assert cli.main(["info", str(tmp_path / "scene.flz")]) == 0
    assert "FLZ" in capsys.readouterr().out
    assert cli.main(["compress", str(tmp_path / "scene.ply"), "--target-mb", "-1"]) == 2
    assert cli.main(["compress", str(tmp_path / "scene.ply"), "--target-mb", "1", "--out", "a.ply"]) == 2


def test_the_scene_itself_is_not_written_over(
    scene: Gaussians, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scene.flz"
    scene.save(path)
    before = path.read_bytes()
    assert cli.main(["compress", str(path), "--target-mb", "0.03"]) == 2
    assert "--out" in capsys.readouterr().err and path.read_bytes() == before


@pytest.mark.parametrize("scale", [1e-4, 1e3])
def test_units_may_be_any(scene: Gaussians, cameras: Cameras, scale: float) -> None:
    move = replace(Similarity.identity(), scale=scale)
    moved = scene.transform(move)
    views = cameras_around(moved, 4, 64)
    made = compress(moved, 25_000, views, views)
    assert abs(made.point.bytes - 25_000) <= 1250 and 10 < made.point.psnr < 100


def test_cameras_that_see_nothing(scene: Gaussians, cameras: Cameras) -> None:
    away = replace(cameras, viewmats=torch.tensor([-1.0, 1, -1, 1])[:, None] * cameras.viewmats)
    with pytest.raises(InputError, match="sees anything"):
        compress(scene, 25_000, away, away)


@pytest.mark.parametrize(("target", "size"), [(1e-7, 64), (float("nan"), 64), (1e308, 64), (0.1, 1)])
def test_what_cannot_be_asked_for(scene: Gaussians, tmp_path: Path, target: float, size: int) -> None:
    scene.save(tmp_path / "scene.ply")
    with pytest.raises(InputError, match="expected"):
        compress_file(tmp_path / "scene.ply", target, tmp_path / "scene.flz", max_size=size)


def test_small_sizes_are_said_so_that_they_can_be_told_apart() -> None:
    said = [size_in_words(size) for size in (812, 23_450, 1_350_000)]
    assert said == ["812 bytes", "23.45 KB", "1.350 MB"]


def test_a_damaged_poses_file(scene: Gaussians, tmp_path: Path) -> None:
    scene.save(tmp_path / "scene.ply")
    for text in ("{", "[]", '{"photos": [{"placed": true}]}'):
        (tmp_path / "poses.json").write_text(text)
        assert cli.main(["compress", str(tmp_path), "--target-mb", "0.03"]) == 2


def test_a_ring_sees_the_scene(scene: Gaussians) -> None:
    cameras = cameras_around(scene, 4, 64)
    assert all(float(render_camera(scene, cameras.select([i]))[1].mean()) > 0.05 for i in range(4))
