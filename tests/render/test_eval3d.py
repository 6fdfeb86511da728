"""Blending in space: kernels against the twin, and pictures against ones made in other ways."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from firstlight.render import (
    RollingShutterType,
    isect_offset_encode,
    isect_tiles,
    rasterization,
    rasterize_to_pixels_eval3d,
    twins,
)
from tests.render.lenses import FISHEYE, LENSES, RADIAL, SHUTTERS, TANGENTIAL, THIN_PRISM, lens, moved, sensor
from tests.render.scenes import Scene, assert_gradients, assert_pictures, intrinsics, random_scene

# Without types: mypy cannot count tensors that are unpacked from a list.
_rasterization: Any = rasterization
_eval3d: Any = rasterize_to_pixels_eval3d
_twin: Any = twins.blend_in_space

WIDTH, HEIGHT = 45, 37


def _everywhere(depths: Tensor, width: int, height: int, tile_size: int = 16) -> tuple[Tensor, Tensor]:
    """Lists that hold every splat [C, N] in every tile, front to back."""
    cameras, count = depths.shape
    across, down = -(-width // tile_size), -(-height // tile_size)
    radii = torch.full((cameras, count, 2), 1_000_000, dtype=torch.int32)
    _, ids, flatten_ids = isect_tiles(torch.zeros(cameras, count, 2), radii, depths, tile_size, across, down)
    return isect_offset_encode(ids, cameras, across, down), flatten_ids


def _depths(scene: Scene) -> Tensor:
    return torch.einsum("cj,nj->cn", scene.viewmats[:, 2, :3], scene.means) + scene.viewmats[:, 2, 3:]


def _before(scene: Scene) -> Scene:
    """Without what lies behind or close before a camera, whose place in the lists means nothing."""
    keep = (_depths(scene) > 0.5).all(0)
    return scene._replace(**{name: getattr(scene, name)[keep] for name in Scene._fields[:5]})


@pytest.mark.parametrize(
    ("name", "channels", "tile"), [*((name, 3, 16) for name in LENSES), ("pinhole", 1, 7), ("opencv", 6, 40)]
)
@pytest.mark.parametrize("moving", [False, True])
def test_kernels_are_the_twin(name: str, channels: int, tile: int, moving: bool) -> None:
    """Pictures and every gradient, of two cameras that share Gaussians and not their colours."""
    scene = _before(random_scene(17, 60, 2))
    count, K = len(scene.means), intrinsics(2, WIDTH, HEIGHT)
    options = lens(name, 2, focal=50.0)
    if moving:
        shutter = SHUTTERS[(channels + len(name)) % 4]
        options |= {"rolling_shutter": shutter, "viewmats_rs": moved(scene.viewmats)}
    g = torch.Generator().manual_seed(0)
    inputs = {
        "means": scene.means,
        "quats": scene.quats,
        "scales": scene.scales,
        "colors": torch.rand(2, count, channels, generator=g),
        "opacities": torch.rand(2, count, generator=g),
        "backgrounds": torch.rand(2, channels, generator=g),
    }
    lists = _everywhere(_depths(scene), WIDTH, HEIGHT, tile)
    single = {key: value.clone().requires_grad_() for key, value in inputs.items()}
    double = {key: value.double().requires_grad_() for key, value in inputs.items()}
    behind = single.pop("backgrounds")
    picture, alphas = _eval3d(
        *single.values(), scene.viewmats, K, WIDTH, HEIGHT, tile, *lists, backgrounds=behind, **options
    )
    assert picture.shape == (2, HEIGHT, WIDTH, channels)
    weights = [torch.randn(t.shape, generator=g) for t in (picture, alphas)]
    torch.autograd.backward([picture, alphas], weights)
    for camera, order in enumerate(_depths(scene).argsort(dim=-1, stable=True)):
        origins, directions = sensor(scene.viewmats, K, WIDTH, HEIGHT, options, camera).rays()
        wanted, wanted_alphas = _twin(
            *(double[key][order] for key in ("means", "quats", "scales")),
            double["colors"][camera, order],
            double["opacities"][camera, order],
            origins.view(-1, 3),
            directions.view(-1, 3),
            double["backgrounds"][camera],
            exp=twins.series_exp,
        )
        assert_pictures(picture[camera].view(-1, channels), wanted)
        assert_pictures(alphas[camera].view(-1), wanted_alphas)
        both = [
            w[camera].double().view(t.shape) for w, t in zip(weights, (wanted, wanted_alphas), strict=True)
        ]
        torch.autograd.backward([wanted, wanted_alphas], both)
    for key, leaf in {**single, "backgrounds": behind}.items():
        assert_gradients(leaf.grad, double[key].grad)


def test_twin_passes_finite_differences() -> None:
    scene = random_scene(4, 2)
    K = intrinsics(1, 4, 3)
    options = {**lens("opencv", 1), "rolling_shutter": SHUTTERS[0], "viewmats_rs": moved(scene.viewmats)}
    origins, directions = sensor(scene.viewmats, K, 4, 3, options).rays()
    inputs = (
        scene.means * 0.2,
        scene.quats,
        torch.full((2, 3), 0.8) + 0.1 * torch.arange(6.0).view(2, 3),
        scene.sh[:, 0],
        torch.full((2,), 0.6),
    )
    leaves = tuple(t.double().requires_grad_() for t in inputs)

    def render(*splats: Tensor) -> Any:
        return _twin(*splats, origins.view(-1, 3), directions.view(-1, 3))

    assert torch.autograd.gradcheck(render, leaves)


def _unscented(scene: Scene, K: Tensor, width: int, height: int, **options: Any) -> Any:
    given = {
        "sh_degree": 3,
        "backgrounds": scene.backgrounds,
        "with_ut": True,
        "with_eval3d": True,
        **options,
    }
    return _rasterization(*scene[:6], K, width, height, packed=False, **given)


@pytest.mark.parametrize("mode", ["RGB", "ED", "RGB+D"])
def test_the_whole_way_is_the_twin(mode: str) -> None:
    """A splat counts in the tiles of its rectangle, as in gsplat, and SH look from half-way."""
    scene, K = random_scene(23, 80, 1), intrinsics(1, WIDTH, HEIGHT)
    options = {**lens("opencv", 1), "rolling_shutter": SHUTTERS[1], "viewmats_rs": moved(scene.viewmats)}
    picture, alphas, meta = _unscented(scene, K, WIDTH, HEIGHT, render_mode=mode, **options)
    twin = sensor(scene.viewmats, K, WIDTH, HEIGHT, options)
    double = Scene(*(t.double() for t in scene))
    radii, means2d, depths, *_ = twins.fully_fused_projection_with_ut(
        double.means, double.quats, double.scales, double.opacities, twin
    )
    assert torch.equal(meta["radii"][0], radii)
    order = depths.argsort(dim=-1, stable=True)
    order = order[(radii[order] > 0).all(-1)]
    low, high = ((means2d + sign * radii) / 16 for sign in (-1, 1))
    y, x = torch.meshgrid(torch.arange(HEIGHT) // 16, torch.arange(WIDTH) // 16, indexing="ij")
    tiles = torch.stack([x, y], -1).view(-1, 1, 2)
    listed = ((low[order].floor() <= tiles) & (tiles < high[order].ceil())).all(-1)
    ends = [torch.inverse(v.double())[0, :3, 3] for v in (scene.viewmats, options["viewmats_rs"])]
    away = double.means - 0.5 * (ends[0] + ends[1])
    shades = (twins.spherical_harmonics(3, away, double.sh) + 0.5).clamp(min=0)
    channels = {"RGB": [shades], "ED": [depths[:, None]], "RGB+D": [shades, depths[:, None]]}[mode]
    behind = double.backgrounds[0] if mode != "ED" else double.backgrounds[0][:0]
    if mode != "RGB":
        behind = torch.cat([behind, behind.new_zeros(1)])
    origins, directions = twin.rays()
    wanted, wanted_alphas = _twin(
        double.means[order],
        double.quats[order],
        double.scales[order],
        torch.cat(channels, -1)[order],
        double.opacities[order],
        origins.view(-1, 3),
        directions.view(-1, 3),
        behind,
        listed,
        twins.series_exp,
    )
    if mode == "ED":
        wanted = wanted / wanted_alphas[:, None].clamp(min=1e-10)
    assert_pictures(picture.view(wanted.shape), wanted, scale=10.0 if "D" in mode else 1.0)
    assert_pictures(alphas.view(-1), wanted_alphas)


def _psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * torch.log10((a - b).square().mean()))


def test_small_round_splats_are_the_classic_picture() -> None:
    """Seen from afar, where the classic projection's straight lines are right."""
    scene = random_scene(9, 300)
    scene = scene._replace(scales=scene.scales.mean(-1, keepdim=True).expand(-1, 3).clamp(0.04, 0.12))
    scene.viewmats[:, 2, 3] = 12.0
    K = intrinsics(1, 96, 64)
    K[:, :2, :2] *= 3
    classic, _, _ = _rasterization(*scene[:6], K, 96, 64, sh_degree=3, eps2d=0.0)
    for with_ut in (False, True):
        picture, _, _ = _unscented(scene, K, 96, 64, with_ut=with_ut, eps2d=0.0, backgrounds=None)
        assert _psnr(picture, classic) > 45


@pytest.mark.parametrize("fisheye", [False, True])
def test_a_distorted_picture_is_the_straight_one_warped(fisheye: bool) -> None:
    """Against OpenCV: a larger straight picture, looked up where each distorted pixel's ray goes."""
    width, height, finer = 90, 66, 4
    scene = random_scene(31, 250)
    # In the middle: what is partly outside a picture is left out of it, and the straight one shows more.
    scene = scene._replace(means=0.4 * scene.means, scales=0.5 * scene.scales.clamp(min=0.08))
    K = intrinsics(1, width, height)
    options = lens("fisheye" if fisheye else "opencv", 1)
    distorted, _, _ = _unscented(scene, K, width, height, **options)
    camera = K[0].double().numpy()
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([x, y], -1).reshape(-1, 1, 2)
    if fisheye:
        slopes = cv2.fisheye.undistortPoints(pixels, camera, np.array(FISHEYE))
    else:
        coefficients = np.array([*RADIAL[:2], *TANGENTIAL, *RADIAL[2:], *THIN_PRISM])
        slopes = cv2.undistortPoints(pixels, camera, coefficients)
    slopes = slopes.reshape(height, width, 2)
    large, tall = 2 * finer * width, 2 * finer * height
    straight = K.clone()
    straight[0, :2, :2] *= finer
    straight[0, :2, 2] = torch.tensor([large / 2, tall / 2])
    picture, _, _ = _unscented(scene, straight, large, tall)
    places = slopes * [float(straight[0, 0, 0]), float(straight[0, 1, 1])] + [large / 2 - 0.5, tall / 2 - 0.5]
    warped = cv2.remap(picture[0].numpy(), places.astype(np.float32), None, cv2.INTER_CUBIC)
    seen = torch.from_numpy((places > 2).all(-1) & (places < [large - 3, tall - 3]).all(-1))
    assert seen.double().mean() > 0.9
    assert _psnr(distorted[0][seen], torch.from_numpy(warped)[seen]) > 40


@pytest.mark.parametrize("shutter", SHUTTERS)
def test_each_line_is_that_of_a_camera_at_its_time(shutter: RollingShutterType) -> None:
    scene = _before(random_scene(12, 50))
    K, end = intrinsics(1, WIDTH, HEIGHT), moved(scene.viewmats)
    count = len(scene.means)
    splats = (*scene[:3], scene.sh[None, :, 0], scene.opacities[None])
    lists = _everywhere(torch.rand(1, count, generator=torch.Generator().manual_seed(0)), WIDTH, HEIGHT)
    options = {"rolling_shutter": shutter, "viewmats_rs": end}
    rolling, _ = _eval3d(*splats, scene.viewmats, K, WIDTH, HEIGHT, 16, *lists, **options)
    poses = sensor(scene.viewmats, K, WIDTH, HEIGHT, options).poses
    across = "LEFT" in shutter.name
    lines = WIDTH if across else HEIGHT
    for line in (0, 11, lines - 1):
        late = shutter.name in ("ROLLING_BOTTOM_TO_TOP", "ROLLING_RIGHT_TO_LEFT")
        time = (lines - 1 - line if late else line) / (lines - 1)
        pose = torch.eye(4)[None]
        pose[0, :3, :3], pose[0, :3, 3] = poses(torch.tensor(time, dtype=torch.float64))
        still, _ = _eval3d(*splats, pose, K, WIDTH, HEIGHT, 16, *lists)
        ours, theirs = (t[0, :, line] if across else t[0, line] for t in (rolling, still))
        assert_pictures(ours, theirs)
    for ends, first in ((scene.viewmats, True), (end, False)):  # ends are the poses given
        still, _ = _eval3d(*splats, ends, K, WIDTH, HEIGHT, 16, *lists)
        line = 0 if first != late else lines - 1
        ours, theirs = (t[0, :, line] if across else t[0, line] for t in (rolling, still))
        assert_pictures(ours, theirs)


def test_pixels_without_a_ray_and_masked_tiles_show_the_background() -> None:
    """The corners of a fisheye whose polynomial turns back."""
    scene, K = random_scene(3, 60), intrinsics(1, 80, 64)
    K[:, 0, 0] = K[:, 1, 1] = 40.0
    options = {"camera_model": "fisheye", "radial_coeffs": torch.tensor([[-0.4, 0, 0, 0]])}
    masks = torch.ones(1, 4, 5, dtype=torch.bool)
    masks[0, 1, 2] = False
    lists = _everywhere(_depths(scene), 80, 64)
    picture, alphas = _eval3d(
        *scene[:3], scene.sh[None, :, 0], scene.opacities[None], scene.viewmats, K, 80, 64, 16, *lists,
        backgrounds=scene.backgrounds, masks=masks, **options,
    )  # fmt: skip
    there = sensor(scene.viewmats, K, 80, 64, options).rays()[1].any(-1)
    assert 0.2 < there.double().mean() < 0.9
    there[16:32, 32:48] = False
    assert (picture[0, ~there] == scene.backgrounds[0]).all()
    assert not alphas[0, ~there].any()
    assert (alphas[0, there] > 0).double().mean() > 0.3


def test_what_is_strongest_behind_the_camera_is_not_seen() -> None:
    """A needle through the camera that leans: only its part before the camera counts."""
    scene = random_scene(0, 1)._replace(
        means=torch.tensor([[0.0, 0.0, 0.5]]),
        quats=torch.tensor([[1.0, 0.4, 0, 0]]),
        scales=torch.tensor([[0.3, 0.3, 8.0]]),
        opacities=torch.tensor([0.9]),
        viewmats=torch.eye(4)[None],
    )
    K = torch.tensor([[[16.0, 0, 32], [0, 16.0, 32], [0, 0, 1]]])
    lists = _everywhere(_depths(scene), 64, 64)
    _, alphas = _eval3d(
        *scene[:3], torch.ones(1, 1, 3), torch.ones(1, 1), scene.viewmats, K, 64, 64, 16, *lists
    )
    origins, directions = sensor(scene.viewmats, K, 64, 64, {}).rays()
    _, wanted = _twin(
        *(t.double() for t in scene[:3]), torch.ones(1, 1).double(), torch.ones(1).double(),
        origins.view(-1, 3), directions.view(-1, 3), exp=twins.series_exp,
    )  # fmt: skip
    assert_pictures(alphas.view(-1), wanted)
    assert (wanted > 0.1).any()
    assert (wanted == 0).any()


@pytest.mark.parametrize("tile_size", [5, 16])
def test_batches_are_scenes_of_their_own(tile_size: int) -> None:
    scenes = [random_scene(seed, 40, 2) for seed in (1, 2)]
    whole = Scene(*(torch.stack(t) for t in zip(*scenes, strict=True))).leaves(torch.float32)
    whole = whole._replace(viewmats=whole.viewmats.detach())
    K, options = intrinsics(2, WIDTH, HEIGHT), lens("opencv", 2)
    batched = {name: value.expand(2, *value.shape) for name, value in options.items()}
    picture, alphas, meta = _unscented(
        whole, K.expand(2, 2, 3, 3), WIDTH, HEIGHT, tile_size=tile_size, **batched
    )
    picture.square().sum().backward()
    assert (meta["n_batches"], meta["n_cameras"]) == (2, 2)
    for n, scene in enumerate(scenes):
        alone = scene.leaves(torch.float32)
        alone = alone._replace(viewmats=alone.viewmats.detach())
        one, one_alphas, _ = _unscented(alone, K, WIDTH, HEIGHT, tile_size=tile_size, **options)
        one.square().sum().backward()
        assert torch.equal(picture[n], one)
        assert torch.equal(alphas[n], one_alphas)
        for together, single in zip(whole, alone, strict=True):
            if single.grad is not None:
                assert together.grad is not None
                torch.testing.assert_close(together.grad[n], single.grad, rtol=1e-4, atol=1e-5)


def test_tiles_beyond_the_picture_change_nothing() -> None:
    scene, K = random_scene(3, 30), intrinsics(1, WIDTH, HEIGHT)

    def render(width: int, height: int) -> Any:
        lists = _everywhere(_depths(scene), width, height)
        splats = (scene.sh[None, :, 0], scene.opacities[None], scene.viewmats, K)
        return _eval3d(*scene[:3], *splats, WIDTH, HEIGHT, 16, *lists)

    for found, wanted in zip(render(WIDTH + 32, HEIGHT + 16), render(WIDTH, HEIGHT), strict=True):
        assert torch.equal(found, wanted)


def test_two_runs_are_equal_bit_for_bit() -> None:
    scene, K = random_scene(12, 800), intrinsics(1, 120, 90)
    options = {**lens("opencv", 1), "rolling_shutter": SHUTTERS[0], "viewmats_rs": moved(scene.viewmats)}

    def run() -> list[Tensor]:
        leaves = scene.leaves(torch.float32)
        picture, alphas, _ = _unscented(leaves._replace(viewmats=scene.viewmats), K, 120, 90, **options)
        picture.square().sum().backward()
        return [picture, alphas, *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    first = run()
    assert len(first) == 8
    assert all(torch.equal(a, b) for a, b in zip(first, run(), strict=True))


@pytest.mark.parametrize("with_eval3d", [False, True])
def test_gradients_are_gsplats(with_eval3d: bool) -> None:
    """Projected by the transform, only blending in space moves the Gaussians; depths move none."""
    scene, K = random_scene(7, 40), intrinsics(1, WIDTH, HEIGHT)
    leaves = scene.leaves(torch.float32)._replace(viewmats=scene.viewmats)
    colors = scene.sh[:, 0].clone().requires_grad_()
    picture, _, meta = _unscented(
        leaves._replace(sh=colors), K, WIDTH, HEIGHT, sh_degree=None, with_eval3d=with_eval3d
    )
    assert not meta["means2d"].requires_grad
    picture.square().sum().backward()
    assert colors.grad is not None
    assert leaves.opacities.grad is not None
    for name in ("means", "quats", "scales"):
        assert (getattr(leaves, name).grad is not None) == with_eval3d


def test_projected_by_derivatives_depths_are_learned_too() -> None:
    scene, K = random_scene(7, 40), intrinsics(1, WIDTH, HEIGHT)
    leaves = scene.leaves(torch.float32)._replace(viewmats=scene.viewmats)
    depth, _, _ = _unscented(leaves, K, WIDTH, HEIGHT, with_ut=False, render_mode="D", backgrounds=None)
    depth.sum().backward()
    assert leaves.means.grad is not None


def test_cameras_learn_nothing() -> None:
    scene = random_scene(7, 40).leaves(torch.float32)
    picture, _, _ = _unscented(scene, intrinsics(1, WIDTH, HEIGHT), WIDTH, HEIGHT)
    with pytest.raises(NotImplementedError, match="a gradient of viewmats"):
        picture.sum().backward()


@pytest.mark.parametrize("seed", range(12))
def test_needles_and_giants_in_every_tile_stay_finite(seed: int) -> None:
    """Sizes and distances over fourteen and six powers of ten, no size at all, and a camera inside."""
    g = torch.Generator().manual_seed(seed)
    means = torch.randn(40, 3, generator=g) * 10 ** (6 * torch.rand(40, 1, generator=g) - 2)
    quats, scales = torch.randn(40, 4, generator=g), 10 ** (14 * torch.rand(40, 3, generator=g) - 9)
    means[:4], quats[3], scales[5] = 0.0, 0.0, 0.0
    colors, seen = torch.rand(1, 40, 3, generator=g), 1.2 * torch.rand(1, 40, generator=g)
    leaves = [t.requires_grad_() for t in (means, quats, scales, colors, seen)]
    view, options = torch.eye(4)[None], {}
    if seed % 2:
        options = {"rolling_shutter": SHUTTERS[seed % 4], "viewmats_rs": moved(view)}
    lists = _everywhere(torch.rand(1, 40, generator=g), 33, 20)
    picture, alphas = _eval3d(*leaves, view, intrinsics(1, 33, 20), 33, 20, 16, *lists, **options)
    assert torch.isfinite(picture).all()
    assert alphas.max() > 0.5
    (picture.sum() + alphas.sum()).backward()
    assert all(leaf.grad is not None and torch.isfinite(leaf.grad).all() for leaf in leaves)


SIZES = st.sampled_from([(1, 1), (17, 5), (40, 33)])
NUMBER = st.one_of(
    st.floats(-10, 10, width=32),
    st.sampled_from([0.0, 1e-30, 1e-8, 0.01, 1e4, -1e4, 1e9, -1e9, 3e38, math.nan, math.inf]),
)


@st.composite
def _splat(draw: st.DrawFn) -> list[float]:
    row = [draw(NUMBER) for _ in range(7)]
    row += [abs(draw(NUMBER)) for _ in range(3)]
    return [*row, draw(st.sampled_from([0.0, 1e-9, 1 / 255, 0.5, 1.0]))]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(_splat(), max_size=6),
    SIZES,
    st.sampled_from(LENSES),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_anything_gives_finite_pictures_and_finite_splats_finite_gradients(
    rows: list[list[float]], size: tuple[int, int], name: str, moving: bool, with_ut: bool, antialiased: bool
) -> None:
    table = torch.tensor(rows).view(-1, 11)
    count, view = len(rows), torch.eye(4)[None]
    scene = Scene(
        table[:, :3], table[:, 3:7], table[:, 7:10], table[:, 10], torch.full((count, 4, 3), 0.3), view,
        torch.ones(1, 3),
    ).leaves(torch.float32)._replace(viewmats=view)  # fmt: skip
    options: dict[str, Any] = {}
    if with_ut:
        options = lens(name, 1)
        if moving:
            options |= {"rolling_shutter": SHUTTERS[count % 4], "viewmats_rs": moved(view)}
    picture, alphas, _ = _unscented(
        scene, intrinsics(1, *size), *size, sh_degree=1, with_ut=with_ut,
        rasterize_mode="antialiased" if antialiased else "classic", **options,
    )  # fmt: skip
    assert torch.isfinite(picture).all()
    (picture.sum() + alphas.sum()).backward()
    finite = table.isfinite().all(-1)
    for leaf in scene[:5]:
        assert leaf.grad is None or not leaf.grad[finite].isnan().any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"with_ut": False, "radial_coeffs": torch.zeros(1, 6)}, "need with_ut=True"),
        ({"with_ut": False, "rolling_shutter": SHUTTERS[0]}, "need with_ut=True"),
        ({"rolling_shutter": SHUTTERS[0]}, "needs viewmats_rs"),
        ({"viewmats_rs": torch.eye(4)[None]}, "viewmats_rs: expected None"),
        ({"packed": True}, "need packed=False"),
        ({"with_ut": False, "sparse_grad": True}, "need packed=False and sparse_grad=False"),
        ({"covars": torch.eye(3).expand(5, 3, 3)}, "quats and scales, not covars"),
        ({"radial_coeffs": torch.zeros(1, 4)}, "radial_coeffs: expected shape"),
    ],
)
def test_what_gsplat_does_not_combine_is_refused(options: dict[str, Any], words: str) -> None:
    scene = random_scene(0, 5)
    given = {"packed": False, "with_ut": True, "with_eval3d": True, "sh_degree": 3, **options}
    with pytest.raises(AssertionError, match=words):
        _rasterization(*scene[:6], intrinsics(1, 20, 20), 20, 20, **given)


def test_wrong_input_is_named() -> None:
    scene, K = random_scene(0, 5), intrinsics(1, 20, 20)
    offsets, ids = _everywhere(_depths(scene), 20, 20)
    colors, seen = scene.sh[None, :, 0], scene.opacities[None]

    def render(*splats: Tensor, size: int = 16, **options: Any) -> None:
        _eval3d(*scene[:3], *splats, scene.viewmats, K, 20, 20, size, offsets, ids, **options)

    with pytest.raises(NotImplementedError, match="packed colours"):
        render(colors[0], seen[0])
    with pytest.raises(ValueError, match="one channel or more"):
        render(colors[..., :0], seen)
    with pytest.raises(ValueError, match="opacities: expected shape"):
        render(colors, seen[0])
    with pytest.raises(ValueError, match="backgrounds: expected shape"):
        render(colors, seen, backgrounds=torch.zeros(3))
    with pytest.raises(ValueError, match="tile_size of at least 1"):
        render(colors, seen, size=0)
    with pytest.raises(ValueError, match="tiles of 8 px do not cover"):
        render(colors, seen, size=8)
    with pytest.raises(ValueError, match="masks: expected shape"):
        render(colors, seen, masks=torch.ones(1, 3, 3, dtype=torch.bool))
    with pytest.raises(NotImplementedError, match="camera_model='equirectangular'"):
        render(colors, seen, camera_model="equirectangular")
