"""Repair of renders by a tiny diffusion model, through diffusers' own ``from_pretrained``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.errors import InputError
from firstlight.fitting import RepairedViews
from firstlight.fitting.terms import Rendered
from firstlight.pretrained import Pretrained
from firstlight.repair import REPAIRERS, get_repairer
from firstlight.scene import Cameras
from tests.fitting.sheets import CAMERA, seen, sheet, view_of
from tests.repair.tiny import saved, stripes
from tests.scenes import ring

# torch's schedulers and tokenizers of other packages warn about their own future.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny"))


def roughness(picture: Tensor) -> float:
    """From row to row, along which the pictures that the model knows do not change."""
    return float((picture[1:].float() - picture[:-1].float()).abs().mean())


def test_noise_becomes_what_the_model_was_trained_on_and_stays_the_same_picture(model: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    clean = stripes(4, generator).permute(0, 2, 3, 1)
    damaged = clean + 0.4 * torch.randn(clean.shape, generator=generator)
    repair = get_repairer(str(model)).load()
    off, from_grey = 0.0, 0.0
    for one, bad in zip(clean, damaged, strict=True):
        render = (127.5 * (bad.clamp(-1, 1) + 1)).round().byte()
        found, truth = repair(render, 0.2, 0), 127.5 * (one + 1)
        assert found.shape == render.shape and found.dtype == torch.uint8
        assert roughness(found) < 0.25 * roughness(render)
        off += float((found - truth).abs().mean())
        from_grey += float((128 - truth).abs().mean())
    assert off < 0.75 * from_grey
    assert torch.equal(repair(render, 0.2, 0), found) and not torch.equal(repair(render, 0.2, 1), found)


def test_sides_need_not_fit_the_model(model: Path) -> None:
    render = torch.full((21, 35, 3), 128, dtype=torch.uint8)
    assert get_repairer(str(model)).load()(render, 0.1, 0).shape == (21, 35, 3)


def test_the_least_strength_is_a_step(model: Path) -> None:
    render = torch.full((16, 16, 3), 128, dtype=torch.uint8)
    repair = get_repairer(str(model)).load()
    assert torch.equal(repair(render, 1e-3, 0), repair(render, 0.02, 0))


def test_a_fit_learns_from_repaired_views_and_keeps_them(model: Path) -> None:
    photo = (255 * seen(sheet(), CAMERA).rgb.clamp(0, 1)).round().byte()
    term = RepairedViews(str(model), weight=1.0, views=2, strength=0.1)
    scene = sheet()
    scene.sh.requires_grad_()
    exposures = []

    def look(camera: Cameras, exposed: bool = True) -> Rendered:
        exposures.append(exposed)
        return seen(scene, camera)

    view = replace(view_of(scene, photo, None), training=ring(4, 3.0), fraction=0.5, look=look)
    loss = term(view)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) > 0 and scene.sh.grad is not None and scene.sh.grad.norm() > 0
    pictures = view.lasting["repaired.pictures"]
    assert pictures.shape == (2, *photo.shape) and pictures.dtype == torch.uint8
    trust = view.lasting["repaired.trust"]
    assert ((trust > 0) & (trust <= 1)).all()
    term(replace(view, fraction=0.6))
    assert view.lasting["repaired.pictures"] is pictures, "not yet time for new ones"
    term(replace(view, fraction=0.75))
    assert view.lasting["repaired.pictures"] is not pictures
    assert term(replace(view, fraction=0.3)) == 0
    assert exposures and not any(exposures), "what the next photo's exposure would be compared with"


def test_a_run_is_asked_for_it(model: Path, tmp_path: Path) -> None:
    photos = load_demo(with_cameras=True).select(range(3))
    run = pipeline.fit(
        photos, "random", out=tmp_path / "run", steps=2, max_size=48, hold_out="none", repair=str(model)
    )
    assert run.complete
    last = run.about["recipe"]["losses"][-1]
    assert last["part"] == "RepairedViews" and last["model"] == str(model)
    with pytest.raises(InputError, match="No repair"):
        pipeline.fit(photos, "random", out=tmp_path / "other", repair="nothing")


def test_what_cannot_be_loaded_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="stable-diffusion"):
        get_repairer("no-such-model")
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be loaded"):
        get_repairer(str(tmp_path)).load()
    monkeypatch.setattr(Pretrained, "missing", ("no_such_package",))
    with pytest.raises(InputError, match=r"firstlight\[repair\]"):
        get_repairer("stable-diffusion-1.5")
    assert all(one.weights.licence for one in REPAIRERS.values())
