"""Cameras that move with the scene, and held-out ones that are aligned to it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from firstlight.capture import load_demo
from firstlight.density import Fixed
from firstlight.fitting import CameraRefinement, Fit, Recipe, align_cameras
from firstlight.fitting.cameras import MovingCameras, move, moved_by, size_of
from firstlight.losses import psnr
from firstlight.recipes import get_recipe
from firstlight.render import render_camera
from firstlight.scene import Cameras, Capture, Gaussians, Points, Similarity
from firstlight.starts import RandomBox
from tests.scenes import random_gaussians, random_rotation, ring

REACH = torch.tensor(2.5, dtype=torch.float64)


def twists(count: int, size: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(count, 6, dtype=torch.float64, generator=generator)


def test_a_move_is_undone_and_read_back() -> None:
    viewmat, (twist,) = ring(3).viewmats[1].double(), twists(1, 1e-3)
    after = move(viewmat, twist, REACH)
    torch.testing.assert_close(after[:3, :3] @ after[:3, :3].T, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(moved_by(viewmat, after, REACH), twist, rtol=1e-3, atol=1e-7)
    still = torch.zeros(6, dtype=torch.float64)
    torch.testing.assert_close(move(viewmat, still, REACH), viewmat)
    turn = torch.tensor([0.0, 0.0, torch.pi / 2, 0.0, 0.0, 0.0], dtype=torch.float64)
    quarter = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(move(torch.eye(4).double(), turn, REACH)[:3, :3], quarter)


def test_slopes_equal_finite_differences_of_a_projection() -> None:
    cameras = ring(2)
    points = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def loss(viewmat: Tensor, K: Tensor) -> Tensor:
        local = points @ viewmat[:3, :3].T + viewmat[:3, 3]
        pixels = (local @ K.T)[:, :2] / local[:, 2:]
        return (pixels / 50 - torch.arange(40).view(20, 2) / 40).square().sum()

    moving = MovingCameras(cameras, float(REACH))
    placed = moving.place(cameras.select([1]), 1)
    loss(placed.viewmats[0].double(), placed.Ks[0].double()).backward()  # type: ignore[no-untyped-call]
    slopes = moving.slopes(1)
    viewmat, K = cameras.viewmats[1].double(), cameras.Ks[1].double()
    for i in range(6):
        twist = torch.zeros(6, dtype=torch.float64)
        twist[i] = 1e-5
        ahead, behind = (loss(move(viewmat, way * twist, REACH), K) for way in (1, -1))
        torch.testing.assert_close(slopes[i], (ahead - behind) / 2e-5, rtol=1e-4, atol=1e-4)
    ahead, behind = loss(viewmat, zoomed(K, 1e-5)), loss(viewmat, zoomed(K, -1e-5))
    torch.testing.assert_close(slopes[6], (ahead - behind) / 2e-5, rtol=1e-4, atol=1e-4)


def zoomed(K: Tensor, logarithm: float) -> Tensor:
    K = K.clone()
    K[..., :2, :2] *= math.exp(logarithm)
    return K


def test_stretching_the_camera_frame_is_zooming() -> None:
    """What the derivative by focal length rests on: for pictures, covariances and colours alike."""
    gaussians, camera = random_gaussians(60), ring(3).select([0])
    stretch = torch.diag(torch.tensor([1.2, 1.2, 1.0, 1.0]))
    stretched, _, _ = render_camera(gaussians, replace(camera, viewmats=stretch @ camera.viewmats))
    nearer, _, _ = render_camera(gaussians, replace(camera, Ks=zoomed(camera.Ks, math.log(1.2))))
    torch.testing.assert_close(stretched, nearer, rtol=1e-4, atol=1e-4)


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    cameras = ring(2)
    moving = MovingCameras(cameras)
    placed = moving.place(cameras.select([0]), 0)
    (placed.viewmats.sum() * torch.nan).backward()  # type: ignore[no-untyped-call]
    moving.step(0, CameraRefinement(focal=1e-3), 0.5)
    assert torch.equal(moving.viewmats, cameras.viewmats.double())
    assert not moving.log_focal.any()


def test_cameras_wait_for_the_scene() -> None:
    cameras = ring(2)
    moving = MovingCameras(cameras)
    placed = moving.place(cameras.select([0]), 0)
    placed.viewmats.sum().backward()  # type: ignore[no-untyped-call]
    moving.step(0, CameraRefinement(start=0.2), 0.1)
    assert torch.equal(moving.viewmats, cameras.viewmats.double())
    moving.step(0, CameraRefinement(start=0.2), 0.2)
    assert not torch.equal(moving.viewmats[0], cameras.viewmats[0].double())
    assert torch.equal(moving.viewmats[1], cameras.viewmats[1].double())


def small_demo() -> Capture:
    return load_demo(with_cameras=True).resized(64)


def small(steps: int, refinement: CameraRefinement | None) -> Recipe:
    recipe = replace(get_recipe("default"), start=RandomBox(1500), density=Fixed(), exposure=False)
    return replace(recipe, steps=steps, cameras=refinement)


def perturbed(cameras: Cameras, size: float) -> Cameras:
    reach = torch.tensor(1.0, dtype=torch.float64)
    moved = [
        move(v.double(), t, reach) for v, t in zip(cameras.viewmats, twists(len(cameras), size), strict=True)
    ]
    return replace(cameras, viewmats=torch.stack(moved).to(cameras.viewmats))


@pytest.mark.usefixtures("one_thread")
def test_goes_on_from_a_saved_state_bit_for_bit() -> None:
    capture, recipe = small_demo(), small(12, CameraRefinement(focal=1e-3))
    train = list(range(len(capture)))
    unbroken, broken = Fit(capture, recipe, train, 0), Fit(capture, recipe, train, 0)
    for fit in (unbroken, broken):
        fit.begin()
    for _ in range(12):
        unbroken.step()
    for _ in range(5):
        broken.step()
    saved = {name: tensor.clone() for name, tensor in broken.state().items()}
    resumed = Fit(capture, recipe, train, 0)
    resumed.restore(5, saved)
    while resumed.done < 12:
        resumed.step()
    for name, tensor in unbroken.state().items():
        assert torch.equal(tensor, resumed.state()[name]), name
    assert unbroken.cameras is not None
    assert not torch.equal(unbroken.cameras.viewmats, unbroken.cameras.before)
    assert unbroken.cameras.log_focal != 0


def relative_turns(cameras: Cameras, photos: list[int]) -> Tensor:
    """Rotations from each camera to each other one: a turn of the whole scene does not show."""
    turns = cameras.viewmats[photos, :3, :3].double()
    return turns[:, None] @ turns.mT[None]


@pytest.mark.usefixtures("one_thread")
def test_refinement_takes_back_what_cameras_were_moved_by() -> None:
    """Some two degrees for each training camera; the held-out one is known, and aligned in both cases."""
    capture = small_demo()
    assert capture.cameras is not None
    split = capture.split()
    spoilt = capture.cameras.viewmats.clone()
    spoilt[split.train] = perturbed(capture.cameras.select(split.train), 0.02).viewmats
    capture_with = replace(capture, cameras=replace(capture.cameras, viewmats=spoilt))
    truth = relative_turns(capture.cameras, split.train)
    errors, quality = [], []
    for refinement in (None, CameraRefinement(rotation=6e-3, translation=6e-3, final=0.1)):
        recipe = small(400, refinement)
        fit = Fit(capture_with, recipe, split.train, 0)
        fit.begin()
        while fit.done < recipe.steps:
            fit.step()
        cameras = fit.pictures.cameras if fit.cameras is None else fit.cameras.on(fit.pictures.cameras)
        errors.append(float((relative_turns(cameras, split.train) - truth).norm()))
        scene = fit.model.gaussians.detach()
        held_out = split.test[1]
        aligned = align_cameras(scene, replace(capture, cameras=cameras), [held_out])
        quality.append(quality_of(scene, capture, aligned, held_out))
    assert errors[1] < 0.7 * errors[0]
    assert quality[1] > quality[0] + 0.5


def quality_of(scene: Gaussians, capture: Capture, cameras: Cameras, photo: int) -> float:
    with torch.no_grad():
        picture, _, _ = render_camera(scene, cameras.select([photo]))
    return psnr(picture, torch.from_numpy(capture.photos[photo].decode().rgb))


def test_cameras_in_one_place_have_the_distance_of_what_they_see() -> None:
    demo = small_demo()
    assert demo.cameras is not None
    assert size_of(demo) == demo.cameras.extent
    turns = torch.eye(4).repeat(3, 1, 1)
    turns[:, :3, :3] = torch.stack([random_rotation(seed).float() for seed in range(3)])
    faces = replace(demo.cameras.select([0, 0, 0]), viewmats=turns @ demo.cameras.viewmats[0])
    assert faces.extent < 1e-5
    one = replace(demo.select([0, 1, 2]), cameras=faces, points=None)
    assert size_of(one) == 3.0, "as far away as a random start"
    ahead = faces.centers[0].double() + 7 * faces.viewmats[1, 2, :3].double()
    points = Points(ahead[None], torch.zeros(1, 3, dtype=torch.uint8), torch.zeros(1).double())
    assert 0 < size_of(replace(one, points=points)) <= 7.0001
    grown = size_of(replace(one, points=points).transform(replace(Similarity.identity(), scale=100.0)))
    assert grown == pytest.approx(100 * size_of(replace(one, points=points)))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["vanilla", "gaussianforest"])
def test_a_single_photo_can_be_fitted(name: str) -> None:
    recipe = replace(get_recipe(name).limited(200), steps=120)
    fit = Fit(small_demo(), recipe, [0], seed=0)
    fit.begin()
    before = fit.model.gaussians.means.detach().clone()
    for _ in range(20):
        fit.step()
    after = fit.model.gaussians.means.detach()
    assert after.isfinite().all() and not torch.equal(after, before), "a rate of nothing moves nothing"
