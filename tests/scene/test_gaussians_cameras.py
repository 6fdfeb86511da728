"""Gaussians and cameras: their algebra, and that a moved scene looks the same to moved cameras."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from firstlight.render import rasterization
from firstlight.scene import Cameras, Gaussians, Similarity, look_at, unit_of
from tests.scene.test_similarity import similarity
from tests.scenes import looking_at, random_gaussians, random_rotation, ring

SEEDS = st.integers(0, 2**20)


def assert_equal(a: Gaussians, b: Gaussians) -> None:
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x, y)


def project(points: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Pixels [C, P, 2] and depths [C, P]."""
    local = points @ cameras.rotations.mT + cameras.viewmats[:, None, :3, 3]
    flat = local @ cameras.Ks.mT
    return flat[..., :2] / flat[..., 2:], local[..., 2]


@settings(deadline=None)
@given(seed=SEEDS)
def test_moved_points_fall_on_the_same_pixels_of_moved_cameras(seed: int) -> None:
    cameras, move = ring(5, dtype=torch.float64), similarity(seed)
    points = torch.randn(20, 3, dtype=torch.float64)
    before, depth = project(points, cameras)
    after, deeper = project(move.apply(points), cameras.transform(move))
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(deeper, move.scale * depth)
    torch.testing.assert_close(cameras.transform(move).centers, move.apply(cameras.centers))
    assert cameras.transform(move).extent == pytest.approx(move.scale * cameras.extent)
    turns = cameras.transform(move).rotations
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3, dtype=torch.float64).expand(5, 3, 3))


@settings(deadline=None)
@given(seed=SEEDS)
def test_orthographic_cameras_move_with_what_they_see(seed: int) -> None:
    cameras, move = replace(ring(5, dtype=torch.float64), model="orthographic"), similarity(seed)
    points = torch.randn(20, 3, dtype=torch.float64)

    def pixels(points: Tensor, cameras: Cameras) -> Tensor:
        local = points @ cameras.rotations.mT + cameras.viewmats[:, None, :3, 3]
        return local[..., :2] @ cameras.Ks[:, :2, :2].mT + cameras.Ks[:, None, :2, 2]

    torch.testing.assert_close(pixels(move.apply(points), cameras.transform(move)), pixels(points, cameras))


def picture(scene: Gaussians, cameras: Cameras) -> tuple[Tensor, Tensor]:
    colors, alphas, _ = rasterization(
        scene.means, scene.quats, scene.scales, scene.opacities, scene.sh, cameras.viewmats, cameras.Ks,
        int(cameras.width[0]), int(cameras.height[0]), sh_degree=scene.degree,
    )  # fmt: skip
    return colors, alphas


@pytest.mark.parametrize("seed", range(4))
def test_a_moved_scene_looks_the_same_to_moved_cameras(seed: int) -> None:
    scene, cameras, move = random_gaussians(200, seed=seed), ring(3), similarity(seed)
    before, alpha_before = picture(scene, cameras)
    after, alpha_after = picture(scene.transform(move), cameras.transform(move))
    assert before.std() > 0.1
    torch.testing.assert_close(after, before, rtol=0, atol=2e-3)
    torch.testing.assert_close(alpha_after, alpha_before, rtol=0, atol=2e-3)
    # It would be seen if the colours did not turn along.
    stiff = scene.transform(move)
    stiff.sh = scene.sh
    assert (picture(stiff, cameras.transform(move))[0] - before).abs().max() > 0.05


@settings(deadline=None, max_examples=30)
@given(a=SEEDS, b=SEEDS)
def test_moves_of_a_scene_compose(a: int, b: int) -> None:
    scene = random_gaussians(5, seed=a).to(torch.float64)
    f, g = similarity(a), similarity(b)
    once, twice = scene.transform(f @ g), scene.transform(g).transform(f)
    torch.testing.assert_close(once.means, twice.means)
    torch.testing.assert_close(once.covariances, twice.covariances)
    torch.testing.assert_close(once.sh, twice.sh)
    torch.testing.assert_close(once.covariances, f.scale**2 * g.scale**2 * _turned(scene, f @ g))


def _turned(scene: Gaussians, move: Similarity) -> Tensor:
    return move.rotation @ scene.covariances @ move.rotation.T


def test_covariance_is_rotation_variances_rotation() -> None:
    rotation = random_rotation(3)
    scene = (
        random_gaussians(1).to(torch.float64).transform(Similarity(1.0, rotation, torch.zeros(3).double()))
    )
    variances = torch.linalg.eigvalsh(scene.covariances[0])
    torch.testing.assert_close(variances, scene.scales[0].square().sort().values)


def test_select_by_index_mask_and_order() -> None:
    scene = random_gaussians(6)
    picked = scene.select(torch.tensor([4, 1]))
    assert torch.equal(picked.means, scene.means[[4, 1]]) and torch.equal(picked.sh, scene.sh[[4, 1]])
    mask = torch.tensor([0, 1, 0, 0, 1, 0]).bool()
    assert_equal(scene.select(mask), scene.select(torch.tensor([1, 4])))
    assert len(scene.select(torch.zeros(6, dtype=torch.bool))) == 0


def test_append_is_the_inverse_of_selecting_halves() -> None:
    scene = random_gaussians(9)
    assert_equal(scene.select(torch.arange(4)).append(scene.select(torch.arange(4, 9))), scene)


def test_append_pads_the_lower_degree() -> None:
    low, high = random_gaussians(2, degree=1), random_gaussians(3, degree=3)
    for both in (low.append(high), high.append(low)):
        assert both.degree == 3
        assert len(both) == 5
    padded = low.append(high).sh[:2]
    assert torch.equal(padded[:, :4], low.sh) and not padded[:, 4:].any()


@pytest.mark.parametrize("degree", range(5))
def test_with_degree_cuts_and_pads(degree: int) -> None:
    scene = random_gaussians(3, degree=2)
    changed = scene.with_degree(degree)
    assert changed.degree == degree
    shared = min((degree + 1) ** 2, 9)
    assert torch.equal(changed.sh[:, :shared], scene.sh[:, :shared])
    assert not changed.sh[:, shared:].any()


def test_finite_finds_every_kind_of_hole() -> None:
    scene = random_gaussians(7)
    scene.means[0, 2] = torch.nan
    scene.quats[1, 0] = torch.inf
    scene.log_scales[2, 1] = -torch.inf
    scene.logit_opacities[3] = torch.nan
    scene.sh[4, 15, 2] = -torch.inf
    scene.means[5] = torch.tensor([3e38, -3e38, 3e38])
    assert scene.finite().tolist() == [False] * 5 + [True] * 2
    assert scene.select(torch.zeros(7, dtype=torch.bool)).finite().tolist() == []


def test_isotropic_holds_what_it_was_given() -> None:
    rgb, scales = torch.rand(4, 3), torch.rand(4) + 0.1
    scene = Gaussians.isotropic(torch.randn(4, 3), rgb, scales, opacity=0.3, degree=2)
    torch.testing.assert_close(scene.rgb, rgb)
    torch.testing.assert_close(scene.scales, scales[:, None].expand(4, 3))
    torch.testing.assert_close(scene.opacities, torch.full((4,), 0.3))
    torch.testing.assert_close(scene.covariances, torch.diag_embed(scene.scales**2))
    assert scene.degree == 2


def test_clone_and_detach_part_ways_with_the_original() -> None:
    scene = Gaussians(*(tensor.requires_grad_() for tensor in random_gaussians(2)))
    copy, view = scene.clone(), scene.detach()
    assert not any(tensor.requires_grad for tensor in (*copy, *view))
    copy.means += 1
    assert not torch.equal(copy.means, scene.means)
    view.means += 1
    assert torch.equal(view.means, scene.means)


@pytest.mark.parametrize("name", ["means", "quats", "log_scales", "logit_opacities", "sh"])
def test_wrong_shapes_are_named(name: str) -> None:
    tensors = random_gaussians(3).tensors()
    with pytest.raises(ValueError, match=f"{name}|coefficients"):
        Gaussians(**(tensors | {name: torch.zeros(3, 2)}))


def test_cameras_stand_where_they_were_put_and_look_there() -> None:
    centers = torch.randn(5, 3, dtype=torch.float64)
    target = torch.tensor([0.1, 0.2, 9.0], dtype=torch.float64)
    cameras = looking_at(centers, target)
    torch.testing.assert_close(cameras.centers, centers)
    pixels, depth = project(target[None], cameras)
    middle = torch.tensor([32.0, 24], dtype=torch.float64)
    torch.testing.assert_close(pixels, middle.expand(5, 1, 2))
    assert (depth > 0).all()


def test_resized_cameras_see_the_same_at_another_scale() -> None:
    cameras = ring(3, dtype=torch.float64)
    larger = cameras.resized(2 * cameras.width, 3 * cameras.height)
    points = torch.randn(10, 3, dtype=torch.float64)
    scale = torch.tensor([2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(project(points, larger)[0], project(points, cameras)[0] * scale)
    assert larger.width.tolist() == [128] * 3 and larger.height.tolist() == [144] * 3


def test_cameras_are_selected_with_their_lenses() -> None:
    cameras = ring(4)
    cameras.distortion = torch.arange(32.0).reshape(4, 8)
    for picked in (cameras.select([3, 1]), cameras.select(torch.tensor([3, 1]))):
        assert len(picked) == 2
        assert picked.distortion is not None
        assert torch.equal(picked.distortion, cameras.distortion[[3, 1]])
        assert torch.equal(picked.viewmats, cameras.viewmats[[3, 1]])
    assert len(cameras.select(slice(1, None))) == 3
    assert not cameras.undistorted and ring(2).undistorted


@pytest.mark.parametrize(
    ("extent", "unit"),
    [
        *((1.0, 1), (9.999, 1), (4.4, 1), (0.84, 1), (0.1, 1), (10.0, 10), (4400.0, 1000), (0.0044, 0.01)),
        *((math.nextafter(1000.0, 0), 100), (0.0, 1), (math.inf, 1), (math.nan, 1)),
    ],
)
def test_unit_is_a_power_of_ten_that_leaves_usual_scenes_alone(extent: float, unit: float) -> None:
    assert unit_of(extent) == unit


def test_extent_is_the_farthest_camera_from_the_middle() -> None:
    centers = torch.tensor([[0.0, 0, 0], [4, 0, 0], [2, 1, 0]])
    middle = torch.tensor([2.0, 1 / 3, 0])
    assert looking_at(centers, torch.tensor([2.0, 0, 9])).extent == pytest.approx(
        1.1 * float((centers[0] - middle).norm()), rel=1e-5
    )


@pytest.mark.parametrize("name", ["viewmats", "Ks", "width", "height", "distortion"])
def test_wrong_camera_shapes_are_named(name: str) -> None:
    cameras = ring(2)
    fields = {key: getattr(cameras, key) for key in ("viewmats", "Ks", "width", "height")}
    if name == "viewmats":
        fields["viewmats"] = torch.zeros(2, 3, 4)
    else:
        fields[name] = torch.zeros(5)
    with pytest.raises(ValueError, match=name):
        Cameras(**fields)


def test_look_at_sees_its_target_in_the_middle_and_upright() -> None:
    centers, target, down = torch.randn(6, 3).double(), torch.randn(3).double(), torch.randn(3).double()
    centers[0] = target - 3 * down  # straight along it
    viewmats = look_at(centers, target, down)
    R, seen = viewmats[:, :3, :3], viewmats[:, :3, :3] @ target + viewmats[:, :3, 3]
    distance = (target - centers).norm(dim=1)
    torch.testing.assert_close(seen, torch.stack([0 * distance, 0 * distance, distance], 1))
    torch.testing.assert_close(R @ R.mT, torch.eye(3).double().expand(6, 3, 3))
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(6).double())
    assert (R[1:, 1] @ down > 0).all()
    torch.testing.assert_close(R[1:, 0] @ down, torch.zeros(5).double())
