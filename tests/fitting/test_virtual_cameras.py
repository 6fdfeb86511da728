"""Cameras where nobody took a photo, and the losses that look through them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from firstlight.capture import load_demo
from firstlight.density import Fixed
from firstlight.fitting import (
    Accord,
    CameraRefinement,
    CoTraining,
    Fit,
    Photometric,
    Recipe,
    StartGuidance,
    Term,
    VirtualCameras,
)
from firstlight.fitting.loop import OPAQUE
from firstlight.fitting.terms import Rendered
from firstlight.fitting.virtual_cameras import mixed, slerp
from firstlight.pipeline import prepare
from firstlight.scene import Cameras, Capture, Gaussians
from firstlight.starts import RandomBox
from tests.fitting.sheets import CAMERA, seen, sheet, view_of
from tests.scenes import random_rotation, ring


def test_slerp_goes_the_shorter_way_at_constant_speed() -> None:
    one = torch.tensor([1.0, 0.0, 0.0, 0.0]).double()
    other = torch.tensor([0.5, 0.5, 0.5, 0.5]).double()  # 120 degrees
    angles = [
        float(2 * slerp(one, sign * other, s)[0].abs().acos()) for s in (0.25, 0.5, 1.0) for sign in (1, -1)
    ]
    third = 2 * torch.pi / 3
    assert angles == pytest.approx([third / 4] * 2 + [third / 2] * 2 + [third] * 2)
    assert torch.equal(slerp(one, one, 0.3), one)


def test_poses_between_end_where_they_should() -> None:
    poses = ring(8).viewmats.double()
    torch.testing.assert_close(mixed(poses[0], poses[1], 0.0), poses[0])
    torch.testing.assert_close(mixed(poses[0], poses[1], 1.0), poses[1])
    half = mixed(poses[0], poses[1], 0.5)
    center = -(half[:3, :3].T @ half[:3, 3])
    torch.testing.assert_close(center, ring(8).centers[:2].double().mean(0))
    torch.testing.assert_close(half[:3, :3] @ half[:3, :3].T, torch.eye(3).double())


def test_virtual_cameras_stand_between_neighbours() -> None:
    cameras, generator = ring(8), torch.Generator().manual_seed(0)
    step = (cameras.centers[0] - cameras.centers[1]).norm()
    places = []
    for _ in range(40):
        drawn = VirtualCameras(around=0.1).draw(cameras.select([0]), cameras, generator)
        assert drawn.width == cameras.width[0] and torch.equal(drawn.Ks, cameras.Ks[:1])
        places.append(drawn.centers[0])
    away = (torch.stack(places) - cameras.centers[0]).norm(dim=-1)
    assert away.max() < 1.2 * step and away.max() > 0.7 * step and away.min() < 0.4 * step
    alone = cameras.select([0])
    assert torch.equal(VirtualCameras().draw(alone, alone, generator).viewmats, alone.viewmats)


def test_faces_of_a_panorama_are_no_neighbours_of_each_other() -> None:
    places, generator = ring(4), torch.Generator().manual_seed(0)
    faces = places.select([i for i in range(4) for _ in range(6)])
    turns = torch.eye(4).repeat(24, 1, 1)
    turns[:, :3, :3] = torch.stack([random_rotation(seed) for seed in range(24)])
    faces = replace(faces, viewmats=turns @ faces.viewmats)
    here = faces.select([7])
    step = (places.centers[1] - places.centers).norm(dim=-1).sort().values[1]
    drawn = [VirtualCameras(around=0.0).draw(here, faces, generator).centers[0] for _ in range(20)]
    away = (torch.stack(drawn) - here.centers[0]).norm(dim=-1)
    assert away.max() > 0.5 * step
    one = faces.select(list(range(6, 12)))
    torch.testing.assert_close(VirtualCameras().draw(here, one, generator).centers, here.centers)


def from_elsewhere(
    scene: Gaussians, begun: Gaussians | None = None, other: Gaussians | None = None
) -> Tensor:
    def shows(gaussians: Gaussians | None) -> Callable[[Cameras], Rendered] | None:
        return None if gaussians is None else lambda camera: seen(gaussians, camera)

    photo = (255 * seen(sheet(), CAMERA).rgb.clamp(0, 1)).round().byte()
    view = replace(view_of(scene, photo, None), training=ring(4, 3.0), begun=shows(begun), other=shows(other))
    if other is None:
        return StartGuidance(1.0, until=1.0)(view)
    return Accord(1.0)(view)


def test_guidance_holds_the_scene_to_its_start_where_that_covers() -> None:
    assert float(from_elsewhere(sheet(), sheet())) == 0
    assert float(from_elsewhere(sheet(0.3), sheet())) > 0.02
    assert from_elsewhere(sheet(), None) == 0
    faint = replace(sheet(), logit_opacities=torch.full((1600,), -6.0))
    assert from_elsewhere(sheet(0.3), faint) == 0, "nothing is covered"


def test_accord_is_between_two_sets_and_teaches_one_at_a_time() -> None:
    one, other = sheet(), sheet(0.3)
    for scene in (one, other):
        scene.means.requires_grad_()
    loss = from_elsewhere(one, other=other)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) > 0.01 and float(from_elsewhere(sheet(), other=sheet())) == 0
    assert one.means.grad is not None and one.means.grad.norm() > 0 and other.means.grad is None


def test_what_has_no_counterpart_is_lost() -> None:
    one, other = sheet(), sheet(0.001)
    one.means[7] += torch.tensor([0.0, 0.0, -1.0])
    assert CoTraining().lost(one, other).tolist() == [7]
    assert CoTraining().lost(other, one).tolist() == []


def pair_of(capture: Capture, term: Term, cameras: CameraRefinement | None = None) -> Fit:
    losses = (Photometric(), term)
    recipe = Recipe(
        "pair", "", RandomBox(count=200), Fixed(), steps=100, losses=losses, co_training=CoTraining(far=2.0)
    )
    recipe = replace(recipe, cameras=cameras)
    return Fit(capture, recipe, [0, 1, 2], seed=0)


def test_a_pair_is_trained_pruned_and_kept_whole(demo: Capture) -> None:
    fit = pair_of(demo, Accord(start=0.0))
    fit.begin()
    assert fit.twin is not None and fit.twin.twin is None
    assert not torch.equal(fit.model.gaussians.means, fit.twin.model.gaussians.means)
    for _ in range(49):
        fit.step()
    assert fit.twin.done == 49
    faint = (fit.model.gaussians.logit_opacities < -6.9).sum()
    halfway = fit.state()
    fit.step()
    assert (fit.model.gaussians.logit_opacities < -6.9).sum() > faint, "after 50 steps they judge each other"
    again = pair_of(demo, Accord(start=0.0))
    again.restore(49, {name: tensor.clone() for name, tensor in halfway.items()})
    assert again.twin is not None and again.twin.done == 49


@pytest.mark.parametrize("term", [Accord(start=0.0), StartGuidance()])
def test_virtual_views_leave_moving_cameras_to_their_photos(demo: Capture, term: Term) -> None:
    fit = pair_of(demo, term, CameraRefinement(start=0.0))
    fit.begin()
    view, _ = fit._view(0, 0.0)
    term(view).backward()  # type: ignore[no-untyped-call]
    assert view.camera.viewmats.grad is None
    assert math.isfinite(fit.step().loss)


def test_no_exposure_stands_between_a_scene_and_its_start(demo: Capture) -> None:
    fit = pair_of(demo, StartGuidance())
    fit.begin()
    assert fit.exposure is not None
    with torch.no_grad():
        fit.model.gaussians.logit_opacities.fill_(OPAQUE)
        fit.exposure.matrices.mul_(1.5)
    view, _ = fit._view(0, 0.0)
    camera = fit.camera(0)
    assert not torch.equal(view.look(camera).rgb, view.look(camera, exposed=False).rgb)
    assert StartGuidance()(view) == 0
    fit.model.gaussians.sh.data.add_(0.1)
    assert StartGuidance()(fit._view(0, 0.0)[0]) > 0


def test_guided_fits_keep_their_start(demo: Capture) -> None:
    fit = pair_of(demo, StartGuidance())
    fit.begin()
    assert fit.begun is not None
    start = fit.begun.means.clone()
    for _ in range(3):
        fit.step()
    assert torch.equal(fit.begun.means, start) and not torch.equal(fit.model.gaussians.means, start)
    again = pair_of(demo, StartGuidance())
    again.restore(3, fit.state())
    assert again.begun is not None and torch.equal(again.begun.means, start)


@pytest.fixture(scope="module")
def demo() -> Capture:
    return prepare(load_demo(with_cameras=True).select(range(3)), 48)
