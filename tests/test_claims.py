"""Claims: what is kept of them, how a verdict comes about, and the measures that they bring themselves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from claims import _bench, runner
from claims._bench import Effort, Measured, Trials, ahead, expect, spread
from claims.edgs import Shuffled
from claims.gdgs import normals_of
from claims.gp_gs import BackProjection
from claims.igmn_start import covariance_error
from claims.instantsplat import SHIFT, TURN, trajectory_error, wrong
from claims.runner import Row, judged, run_claims, unmeasured, write_page

from firstlight.capture import load_demo
from firstlight.errors import InputError
from firstlight.scene import Cloud, Similarity
from firstlight.starts.pixelwise import on_rays
from firstlight.starts.random_box import viewing_distances


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A claim called 'fake', and one called 'other' that is never measured."""
    module = ModuleType("claims.fake", "A paper (Nobody 1900).")
    module.__dict__["claim"] = lambda: iter([Row("more", "+1", "holds"), Row("for the record", "2", "")])
    monkeypatch.setitem(sys.modules, "claims.fake", module)
    monkeypatch.setattr(runner, "names", lambda: ["fake", "other"])
    return module


def test_claims_are_kept_and_the_page_is_written_from_there(fake: ModuleType, tmp_path: Path) -> None:
    page, measured = tmp_path / "claims.md", tmp_path / "measured"
    assert unmeasured(measured) == ["fake", "other"]
    assert run_claims(["fake"], page, measured)
    assert unmeasured(measured) == ["other"]
    text = page.read_text()
    assert "| more | +1 | holds |" in text and "Nobody" in text and "Not measured yet: other." in text
    assert json.loads((measured / "fake.json").read_text())["rows"][0]["verdict"] == "holds"
    page.unlink()
    write_page(page, measured)
    assert page.read_text() == text

    fake.__dict__["claim"] = lambda: iter([Row("more", "-1", "does not hold")])
    assert not run_claims(["fake"], page, measured)
    assert "| more | -1 | does not hold |" in page.read_text()

    def broken() -> Iterator[Row]:
        yield Row("more", "+1", "holds")
        raise ZeroDivisionError

    fake.__dict__["claim"] = broken
    assert not run_claims(["fake"], page, measured)
    assert "| more | -1 | does not hold |" in page.read_text(), "a bug took away what was known"
    with pytest.raises(InputError, match="fake, other"):
        run_claims(["fakes"], page, measured)


def test_a_verdict_is_of_each_set_by_its_mean() -> None:
    assert [judged(m) for m in ([True] * 2, [True, False], [False])] == [
        "holds", "holds partly", "does not hold",
    ]  # fmt: skip
    one, other = (
        [Measured(value, 0.0, 5, 1.0) for value in values] for values in ((20.0, 21.0), (19.0, 21.0))
    )
    found = ahead({"a": one, "b": other}, {"a": other, "b": one})
    assert found == {"a": [1.0, 0.0], "b": [-1.0, 0.0]}
    row = expect("more", found, 0.5)
    assert row == Row("more", "a +0.50 (+0.00 … +1.00) dB; b -0.50 (-1.00 … +0.00) dB", "holds partly")
    assert spread([2.0]) == "+2.00"


def test_a_stopped_claim_goes_on_and_a_settled_one_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_bench, "KEPT", tmp_path)
    calls = []

    def measure() -> list[float]:
        calls.append(1)
        return [1.0, 2.0]

    assert Trials("x", Effort()).values("key", measure) == [1.0, 2.0]
    assert Trials("x", Effort()).values("key", measure) == [1.0, 2.0] and len(calls) == 1
    Trials("x", Effort()).settled()
    Trials("x", Effort()).values("key", measure)
    assert len(calls) == 2


def test_wrong_cameras_are_wrong_by_as_much_as_is_said() -> None:
    cameras = load_demo(with_cameras=True).cameras
    assert cameras is not None
    off = wrong(cameras, seed=1)
    turns = off.rotations.double() @ cameras.rotations.double().mT
    angles = ((turns.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2).acos().rad2deg()
    assert angles.allclose(torch.tensor(TURN, dtype=torch.float64), atol=0.01)
    apart = (off.centers - cameras.centers).norm(dim=-1) / viewing_distances(cameras)
    assert apart.allclose(torch.tensor(SHIFT, dtype=torch.float64), rtol=1e-3)
    moved = cameras.transform(Similarity(2.0, torch.eye(3).double(), torch.ones(3).double()))
    assert trajectory_error(moved, cameras) < 1e-6 < trajectory_error(off, cameras)


def test_normals_of_a_depth_map_are_those_of_its_plane() -> None:
    capture = load_demo(with_cameras=True).resized(32).select([0])
    assert capture.cameras is not None
    normal = torch.tensor([0.2, -0.3, -1.0], dtype=torch.float64)
    normal /= normal.norm()
    row, column = torch.meshgrid(torch.arange(24), torch.arange(32), indexing="ij")
    rays = (
        on_rays(capture.cameras, column.flatten(), row.flatten(), torch.ones(24 * 32))
        - capture.cameras.centers
    )
    world = capture.cameras.rotations[0].double().T @ normal
    depth = (2 * normal[2] / (rays.double() @ world)).reshape(24, 32)  # n · x = 2 n_z in the camera's frame
    found = normals_of(depth, capture, 0)
    assert ((found @ world).abs() > 1 - 1e-6).all()


def test_a_pixel_and_its_depth_are_enough_to_project_back() -> None:
    camera = load_demo(with_cameras=True).resized(64).select([3]).cameras
    assert camera is not None
    generator = torch.Generator().manual_seed(0)
    column, row = (torch.randint(48, (60,), generator=generator) for _ in range(2))
    depth = 1 + torch.rand(60, generator=generator, dtype=torch.float64)
    xyz = on_rays(camera, column, row, depth)
    asked = torch.stack([(column + 0.5) / 64, (row + 0.5) / 48, depth], -1)
    rgb = torch.rand(60, 3, dtype=torch.float64, generator=generator)
    found = BackProjection()(asked[:20], torch.cat([xyz[:20], rgb[:20]], -1), asked)
    assert found.mean[:, :3].allclose(xyz, atol=1e-6)


def test_shuffled_matches_stay_on_their_rays() -> None:
    capture = load_demo(with_cameras=True).resized(64).select([0, 5])
    assert capture.cameras is not None
    photos = torch.arange(40) % 2
    generator = torch.Generator().manual_seed(0)
    rays = torch.nn.functional.normalize(torch.randn(40, 3, generator=generator), dim=-1)
    far = 1 + torch.rand(40, generator=generator)
    centers = capture.cameras.centers.float()[photos]
    ones = torch.ones(40)
    cloud = Cloud(
        centers + rays * far[:, None], torch.zeros(40, 3).byte(), rays, 0.01 * ones, ones, ones, photos
    )
    moved = Shuffled(count=40)(replace(capture, cloud=cloud), generator).means - centers
    assert torch.nn.functional.normalize(moved, dim=-1).allclose(rays, atol=1e-5)
    assert moved.norm(dim=-1).sort().values.allclose(far.sort().values, atol=1e-5)
    assert not moved.norm(dim=-1).allclose(far, atol=1e-2)


def test_one_component_of_the_mixture_is_the_covariance() -> None:
    assert covariance_error(0) < 1e-9
