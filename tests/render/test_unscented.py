"""Distorted lenses and moving shutters: kernels against the twin, the twin's lenses against OpenCV."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from firstlight.render import (
    RollingShutterType,
    UnscentedTransformParameters,
    fully_fused_projection,
    fully_fused_projection_with_ut,
    quat_scale_to_covar_preci,
    twins,
)
from firstlight.render._unscented import sensors
from tests.render.lenses import (
    FISHEYE,
    LENSES,
    RADIAL,
    SHUTTERS,
    TANGENTIAL,
    THIN_PRISM,
    ftheta,
    lens,
    moved,
    sensor,
)
from tests.render.scenes import Scene, intrinsics, random_scene

# Without types: mypy cannot count tensors that are unpacked.
_twin: Any = twins.fully_fused_projection_with_ut

WIDTH, HEIGHT = 61, 43


def _project(scene: Scene, K: Tensor, width: int = WIDTH, height: int = HEIGHT, **options: Any) -> Any:
    given = {"opacities": None, **options}
    return fully_fused_projection_with_ut(
        scene.means, scene.quats, scene.scales, given.pop("opacities"), scene.viewmats, K, width, height,
        **given,
    )  # fmt: skip


def _rays(scene: Scene, K: Tensor, width: int, height: int, **options: Any) -> Tensor:
    """What the kernel says of each pixel: where from and in which direction [C, H, W, 6]."""
    names = (
        "radial_coeffs", "tangential_coeffs", "thin_prism_coeffs", "ftheta_coeffs", "rolling_shutter",
        "viewmats_rs",
    )  # fmt: skip
    given: dict[str, Any] = {**dict.fromkeys(names), "rolling_shutter": RollingShutterType.GLOBAL, **options}
    model = given.pop("camera_model", "pinhole")
    centers, rays = sensors("", scene.viewmats, K, width, height, model, *(given[n] for n in names)).rays()
    table = torch.from_numpy(rays)[..., :width].movedim(2, -1).double()
    origins = torch.from_numpy(centers)[:, None, None].expand(*table.shape[:-1], 3)
    if table.shape[-1] == 6:
        origins = origins + table[..., 3:]
    return torch.cat([origins, table[..., :3]], -1)


@pytest.mark.parametrize("name", LENSES)
@pytest.mark.parametrize("shutter", [RollingShutterType.GLOBAL, *SHUTTERS])
def test_kernel_is_the_twin(name: str, shutter: RollingShutterType) -> None:
    scene, K = random_scene(3, 150, 2), intrinsics(2, WIDTH, HEIGHT)
    options = lens(name, 2)
    if shutter != RollingShutterType.GLOBAL:
        options |= {"rolling_shutter": shutter, "viewmats_rs": moved(scene.viewmats)}
    seen = scene.opacities if shutter.value % 2 == 0 else None
    radii, *found = _project(scene, K, opacities=seen, calc_compensations=True, **options)
    assert (radii[..., 0] > 0).double().mean() > 0.4
    rays = _rays(scene, K, WIDTH, HEIGHT, **options)
    for camera in range(2):
        twin = sensor(scene.viewmats, K, WIDTH, HEIGHT, options, camera)
        shapes = (t.double() for t in (scene.means, scene.quats, scene.scales))
        wanted_radii, *wanted = _twin(*shapes, None if seen is None else seen.double(), twin)
        assert torch.equal(radii[camera], wanted_radii)
        for ours, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(ours[camera].double(), theirs, rtol=1e-5, atol=1e-5)
        wanted_rays = torch.cat(twin.rays(), -1)
        torch.testing.assert_close(rays[camera], wanted_rays, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("fisheye", [False, True])
def test_points_fall_where_opencv_has_them(fisheye: bool) -> None:
    scene = random_scene(8, 200)
    scene = scene._replace(scales=torch.full((200, 3), 1e-5))
    K, pose = intrinsics(1, 640, 480), scene.viewmats[0].double().numpy()
    turn, _ = cv2.Rodrigues(pose[:3, :3])
    points, camera = scene.means.double().numpy()[:, None], K[0].double().numpy()
    if fisheye:
        options = lens("fisheye", 1)
        wanted, _ = cv2.fisheye.projectPoints(points, turn, pose[:3, 3], camera, np.array(FISHEYE))
    else:
        options = lens("opencv", 1)
        distortion = np.array([*RADIAL[:2], *TANGENTIAL, *RADIAL[2:], *THIN_PRISM])
        wanted, _ = cv2.projectPoints(points, turn, pose[:3, 3], camera, distortion)
    radii, means2d, *_ = _project(scene, K, 640, 480, **options)
    seen = radii[0, :, 0] > 0
    assert seen.sum() > 100
    torch.testing.assert_close(
        means2d[0, seen].double(), torch.from_numpy(wanted[:, 0])[seen], rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("name", LENSES)
def test_a_pixels_ray_falls_on_the_pixel(name: str) -> None:
    """There and back, through the public projection."""
    width, height = 40, 30
    scene, K = random_scene(2, 1), intrinsics(1, width, height)
    options = lens(name, 1, focal=45.0)
    rays = _rays(scene, K, width, height, **options)[0].view(-1, 6)
    assert (rays[:, 3:].norm(dim=-1) - 1).abs().max() < 1e-6
    points = (rays[:, :3] + 3 * rays[:, 3:]).float()
    count = len(points)
    dots = scene._replace(means=points, quats=torch.ones(count, 4), scales=torch.full((count, 3), 1e-6))
    _, means2d, *_ = _project(dots, K, width, height, **options)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    torch.testing.assert_close(means2d[0], torch.stack([x, y], -1).view(-1, 2), rtol=0, atol=2e-3)


def test_small_splats_are_where_the_classic_projection_has_them() -> None:
    scene, K = random_scene(4, 300), intrinsics(1, 200, 150)
    scene = scene._replace(scales=scene.scales * 0.1)
    radii, *found = _project(scene, K, 200, 150, calc_compensations=True)
    _, *wanted = fully_fused_projection(
        scene.means, None, scene.quats, scene.scales, scene.viewmats, K, 200, 150, calc_compensations=True
    )
    seen = radii[..., 0] > 0
    assert seen.sum() > 150
    for ours, theirs, tolerance in zip(found, wanted, (0.02, 1e-6, 5e-3, 5e-3), strict=True):
        torch.testing.assert_close(ours[seen], theirs[seen], rtol=tolerance, atol=tolerance)


def test_large_splats_are_nearer_the_truth_than_by_derivatives() -> None:
    """Against the mean and covariance of a hundred thousand points of the Gaussian itself."""
    scales, quats = torch.tensor([[0.5, 0.2, 0.4]]), torch.tensor([[1.0, 0.3, -0.2, 0.4]])
    means, K = torch.tensor([[0.9, -0.6, 2.0]]), intrinsics(1, 640, 480)
    scene = random_scene(0, 1)._replace(means=means, quats=quats, scales=scales, viewmats=torch.eye(4)[None])
    covariance, _ = quat_scale_to_covar_preci(quats, scales, compute_preci=False)
    assert covariance is not None
    g = torch.Generator().manual_seed(0)
    points = means + torch.randn(100_000, 3, generator=g) @ torch.linalg.cholesky(covariance[0]).T
    pixels, _ = cv2.fisheye.projectPoints(
        points.double().numpy()[:, None], np.zeros(3), np.zeros(3), K[0].double().numpy(), np.zeros(4)
    )
    truth = torch.from_numpy(pixels[:, 0])

    def errors(means2d: Tensor, conics: Tensor) -> tuple[float, float]:
        a, b, c = conics[0, 0].double()
        ours = torch.linalg.inv(torch.stack([a, b, b, c]).view(2, 2))
        true = torch.cov(truth.T)
        return float((means2d[0, 0] - truth.mean(0)).norm()), float((ours - true).norm() / true.norm())

    _, *unscented = _project(scene, K, 640, 480, camera_model="fisheye", eps2d=0.0)
    _, *classic = fully_fused_projection(
        means, None, quats, scales, scene.viewmats, K, 640, 480, camera_model="fisheye", eps2d=0.0
    )
    off, bent = errors(unscented[0], unscented[2])
    classic_off, classic_bent = errors(classic[0], classic[2])
    assert off < 0.3 * classic_off
    assert bent < classic_bent


@pytest.mark.parametrize("shutter", SHUTTERS)
def test_a_shutter_over_a_camera_at_rest_changes_nothing(shutter: RollingShutterType) -> None:
    scene, K = random_scene(5, 100), intrinsics(1, WIDTH, HEIGHT)
    wanted = _project(scene, K, **lens("opencv", 1))
    found = _project(
        scene, K, **lens("opencv", 1), rolling_shutter=shutter, viewmats_rs=scene.viewmats.clone()
    )
    assert torch.equal(found[0], wanted[0])
    for ours, theirs in zip(found[1:4], wanted[1:4], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_point_is_seen_when_its_row_is_read() -> None:
    """A camera that only moves sideways: its pose at the row's time, written out, gives the same pixel."""
    K = intrinsics(1, 200, 150)
    scene = random_scene(6, 100)
    scene = scene._replace(scales=torch.full((100, 3), 1e-5), viewmats=torch.eye(4)[None])
    scene.viewmats[0, 2, 3] = 4.0
    end = scene.viewmats.clone()
    end[0, 0, 3] += 0.5
    radii, means2d, *_ = _project(
        scene, K, 200, 150, rolling_shutter=RollingShutterType.ROLLING_TOP_TO_BOTTOM, viewmats_rs=end
    )
    seen = radii[0, :, 0] > 0
    points, pixels = scene.means[seen], means2d[0, seen]
    shift = 0.5 * torch.floor(pixels[:, 1]) / 149
    x = K[0, 0, 0] * (points[:, 0] + shift) / (points[:, 2] + 4.0) + K[0, 0, 2]
    assert seen.sum() > 50
    torch.testing.assert_close(pixels[:, 0], x, rtol=0, atol=2e-3)


def test_what_is_not_wholly_in_the_picture_counts_by_choice() -> None:
    """A splat whose centre is seen and whose ends lie far outside."""
    scene = random_scene(0, 1)._replace(
        means=torch.tensor([[0.0, 0.0, 2.0]]), quats=torch.tensor([[1.0, 0, 0, 0]]),
        scales=torch.tensor([[30.0, 0.1, 0.1]]), viewmats=torch.eye(4)[None],
    )  # fmt: skip
    K = intrinsics(1, WIDTH, HEIGHT)
    assert not _project(scene, K)[0].any()
    some = UnscentedTransformParameters(require_all_sigma_points_valid=False)
    assert _project(scene, K, ut_params=some)[0].all()
    wide = UnscentedTransformParameters(in_image_margin_factor=10.0)
    assert _project(scene, K, ut_params=wide)[0].all()


def test_what_cannot_be_seen_is_left_out() -> None:
    means = torch.tensor([[0, 0, -3], [0, 0, 0], [torch.nan, 0, 2], [torch.inf, 0, 2], [0, 0, 2], [50, 0, 2]])
    scene = random_scene(0, 6)._replace(means=means.float(), viewmats=torch.eye(4)[None])
    scene = scene._replace(scales=torch.full((6, 3), 0.01))
    for name in LENSES:
        out = _project(scene, intrinsics(1, WIDTH, HEIGHT), **lens(name, 1))
        assert (out[0][0, :, 0] > 0).tolist() == [False, False, False, False, True, False]
        assert all(torch.isfinite(t).all() for t in out[:4])
        assert not out[1][0, :4].any()


def test_a_lens_that_folds_its_picture_shows_its_middle_alone() -> None:
    """Barrel distortion so strong that far rays come back in: they are not seen, and no pixel looks there."""
    strong = {"radial_coeffs": torch.tensor([[-0.4, 0, 0, 0, 0, 0]])}
    width, height = 120, 90
    K = torch.tensor([[[40.0, 0, 60], [0, 40.0, 45], [0, 0, 1]]])
    scene = random_scene(0, 2)._replace(
        means=torch.tensor([[0.3, 0.2, 1.0], [1.45, 0.0, 1.0]]),
        scales=torch.full((2, 3), 1e-3),
        viewmats=torch.eye(4)[None],
    )
    assert (_project(scene, K, width, height, **strong)[0][0, :, 0] > 0).tolist() == [True, False]
    rays = _rays(scene, K, width, height, **strong)[0, ..., 3:]
    there = (rays != 0).any(-1)
    assert 0.1 < there.double().mean() < 0.9
    slopes = rays[there][:, :2] / rays[there][:, 2:]
    assert slopes.norm(dim=-1).max() < (1 / 1.2) ** 0.5 + 1e-3  # where 1 - 3 · 0.4 r² is 0


def test_batches_are_scenes_of_their_own() -> None:
    scenes = [random_scene(seed, 40, 2) for seed in (1, 2, 3)]
    whole = Scene(*(torch.stack(t) for t in zip(*scenes, strict=True)))
    K = intrinsics(2, WIDTH, HEIGHT)
    options = lens("opencv", 2)
    batched = {name: value.expand(3, *value.shape) for name, value in options.items()}
    out = _project(whole, K.expand(3, 2, 3, 3), opacities=whole.opacities, **batched)
    for n, scene in enumerate(scenes):
        alone = _project(scene, K, opacities=scene.opacities, **options)
        assert alone[4] is None
        assert all(torch.equal(a[n], b) for a, b in zip(out[:4], alone[:4], strict=True))


def test_nothing_is_differentiable() -> None:
    scene = random_scene(1, 10).leaves(torch.float32)
    assert not any(t.requires_grad for t in _project(scene, intrinsics(1, WIDTH, HEIGHT))[:4])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"radial_coeffs": torch.zeros(1, 4)}, AssertionError, r"radial_coeffs: expected shape \[1, 6\]"),
        ({"camera_model": "fisheye", "radial_coeffs": torch.zeros(1, 6)}, ValueError, r"\[1, 4\]"),
        ({"tangential_coeffs": torch.zeros(1, 3)}, ValueError, "tangential_coeffs"),
        ({"thin_prism_coeffs": torch.zeros(2)}, ValueError, "thin_prism_coeffs"),
        ({"viewmats_rs": torch.zeros(4, 4)}, ValueError, "viewmats_rs"),
        ({"camera_model": "ftheta"}, AssertionError, "needs ftheta_coeffs"),
        ({"camera_model": "ortho"}, NotImplementedError, "camera_model='ortho'"),
        ({"opacities": torch.zeros(3)}, ValueError, "opacities"),
        ({"ut_params": UnscentedTransformParameters(alpha=0.0)}, ValueError, "ut_params"),
    ],
)
def test_wrong_input_is_named(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        _project(random_scene(0, 4), intrinsics(1, 8, 8), 8, 8, **options)


def test_an_ftheta_lens_needs_all_its_numbers() -> None:
    short = lens("ftheta", 1)
    short["ftheta_coeffs"].linear_cde = (1.0, 0.0)
    with pytest.raises(ValueError, match="ftheta_coeffs: expected two polynomials"):
        _project(random_scene(0, 4), intrinsics(1, 8, 8), 8, 8, **short)
    assert ftheta(60.0, short["ftheta_coeffs"].reference_poly).max_angle == 1.4
