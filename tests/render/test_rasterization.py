"""The whole way against the twin that knows no tiles, and at the limits."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from firstlight.render import ShapeError, quat_scale_to_covar_preci, rasterization, splat_scores, twins
from tests.render.scenes import Scene, assert_gradients, assert_pictures, intrinsics, random_scene

# Without types: mypy cannot count tensors that are unpacked from a list.
_rasterization: Any = rasterization
_twin: Any = twins.rasterization

MODES = ("RGB", "D", "ED", "RGB+D", "RGB+ED")


def _render(scene: Scene, width: int, height: int, **options: Any) -> Any:
    return _rasterization(
        *scene[:6],
        intrinsics(len(scene.viewmats), width, height),
        width,
        height,
        backgrounds=scene.backgrounds,
        **{"sh_degree": 3, **options},
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("cameras", [1, 2])
def test_kernels_are_the_twin(mode: str, antialiased: bool, cameras: int) -> None:
    width, height = 51, 38
    scene = random_scene(11, 120, cameras)
    single, double = scene.leaves(torch.float32), scene.leaves(torch.float64)
    found = _render(
        single, width, height, render_mode=mode, rasterize_mode="antialiased" if antialiased else "classic"
    )[:2]
    wanted = _twin(
        *double[:6],
        intrinsics(cameras, width, height).double(),
        width,
        height,
        sh_degree=3,
        backgrounds=double.backgrounds,
        render_mode=mode,
        antialiased=antialiased,
        exp=twins.series_exp,
    )
    assert found[0].shape == wanted[0].shape
    assert_pictures(found[0], wanted[0], scale=10.0 if "D" in mode else 1.0)
    assert_pictures(found[1], wanted[1])
    g = torch.Generator().manual_seed(0)
    weights = [torch.randn(t.shape, generator=g) for t in found]
    if mode.endswith("ED"):  # where next to nothing is seen, expected depth is all rounding
        weights[0][..., -1:] *= (found[1] > 0.02).float()
    torch.autograd.backward(found, weights)
    torch.autograd.backward(wanted, [w.double() for w in weights])
    for ours, theirs in zip(single, double, strict=True):
        assert_gradients(ours.grad, theirs.grad)


def test_tiles_change_nothing() -> None:
    """The picture against all splats over all pixels with the true exponential."""
    scene = random_scene(2, 150)
    picture, alphas, _ = _render(scene, 70, 45)
    wanted, wanted_alphas = _twin(
        *[t.double() for t in scene[:6]],
        intrinsics(1, 70, 45).double(),
        70,
        45,
        sh_degree=3,
        backgrounds=scene.backgrounds.double(),
        exp=twins.series_exp,
    )
    assert_pictures(picture, wanted)
    assert_pictures(alphas, wanted_alphas)


def test_twin_passes_finite_differences() -> None:
    """Every gradient of the whole way in float64, away from the cut-offs."""
    scene = random_scene(4, 2, degree=1)
    near = scene._replace(
        means=scene.means * 0.2, scales=torch.full((2, 3), 0.8), opacities=torch.full((2,), 0.6)
    )
    leaves = near.leaves(torch.float64)
    K = intrinsics(1, 4, 3).double()

    def render(*inputs: Tensor) -> Any:
        return _twin(
            *inputs[:6], K, 4, 3, sh_degree=1, backgrounds=inputs[6], render_mode="RGB+D", antialiased=True
        )

    assert torch.autograd.gradcheck(render, tuple(leaves))


@pytest.mark.parametrize("mode", ["RGB", "RGB+D"])
def test_packed_is_dense(mode: str) -> None:
    scene = random_scene(7, 90, 2)
    results = []
    for packed in (False, True):
        leaves = scene.leaves(torch.float32)
        picture, alphas, meta = _render(leaves, 40, 30, packed=packed, render_mode=mode)
        meta["means2d"].retain_grad()
        picture.square().sum().backward()
        results.append((picture, alphas, meta, leaves))
    (dense, dense_alphas, dense_meta, a), (packed_, packed_alphas, packed_meta, b) = results
    assert torch.equal(dense, packed_)
    assert torch.equal(dense_alphas, packed_alphas)
    for ours, theirs in zip(a, b, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    cameras, splats = packed_meta["camera_ids"], packed_meta["gaussian_ids"]
    for key in ("radii", "means2d", "depths", "conics", "opacities", "tiles_per_gauss"):
        assert torch.equal(dense_meta[key][cameras, splats], packed_meta[key])
    torch.testing.assert_close(dense_meta["means2d"].grad[cameras, splats], packed_meta["means2d"].grad)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("model", ["ortho", "fisheye", "equirectangular"])
def test_every_camera_is_the_twin(model: str, packed: bool) -> None:
    width, height = 48, 32
    scene = random_scene(21, 80, 2)
    K = intrinsics(2, width, height)
    if model == "ortho":
        K[:, :2, :2] /= 4.0
    if model == "equirectangular":
        scene.viewmats[:, :3, 3] = torch.tensor([0.1, -0.2, 0.15])
    single, double = scene.leaves(torch.float32), scene.leaves(torch.float64)
    options: dict[str, Any] = {"sh_degree": 3, "render_mode": "RGB+D", "camera_model": model}
    found = _rasterization(
        *single[:6], K, width, height, backgrounds=single.backgrounds, packed=packed, **options
    )[:2]
    wanted = _twin(
        *double[:6],
        K.double(),
        width,
        height,
        backgrounds=double.backgrounds,
        exp=twins.series_exp,
        **options,
    )
    assert_pictures(found[0], wanted[0], scale=10.0)
    assert_pictures(found[1], wanted[1])
    weights = [torch.randn(t.shape, generator=torch.Generator().manual_seed(0)) for t in found]
    torch.autograd.backward(found, weights)
    torch.autograd.backward(wanted, [w.double() for w in weights])
    for ours, theirs in zip(single, double, strict=True):
        assert_gradients(ours.grad, theirs.grad, 2e-3)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("colours", ["sh", "sh of each camera", "plain", "plain of each camera"])
def test_batches_are_scenes_of_their_own(colours: str, packed: bool) -> None:
    """Bit for bit the pictures and gradients of each scene alone, and the notes in gsplat's shapes."""
    scenes = [random_scene(seed, 50, 2) for seed in (1, 2, 3)]
    g = torch.Generator().manual_seed(0)
    shape = ((2,) if "each" in colours else ()) + ((50, 16, 3) if "sh" in colours else (50, 5))
    scenes = [scene._replace(sh=torch.rand(*shape, generator=g) - 0.3) for scene in scenes]
    whole = Scene(*(torch.stack(t)[:, None] for t in zip(*scenes, strict=True))).leaves(torch.float32)
    degree = 3 if "sh" in colours else None
    options: dict[str, Any] = {"sh_degree": degree, "packed": packed, "rasterize_mode": "antialiased"}
    K = intrinsics(2, 33, 20)

    def render(scene: Scene, Ks: Tensor) -> Any:
        behind = scene.backgrounds if degree is not None else None
        return _rasterization(*scene[:6], Ks, 33, 20, backgrounds=behind, **options)

    picture, alphas, meta = render(whole, K.expand(3, 1, 2, 3, 3))
    assert picture.shape == (3, 1, 2, 20, 33, 3 if degree else 5)
    assert alphas.shape == (3, 1, 2, 20, 33, 1)
    assert meta["isect_offsets"].shape == (3, 1, 2, 2, 3)
    assert (meta["n_batches"], meta["n_cameras"]) == (3, 2)
    assert meta["radii"].shape == ((len(meta["batch_ids"]), 2) if packed else (3, 1, 2, 50, 2))
    picture.square().sum().backward()
    for n, scene in enumerate(scenes):
        alone = scene.leaves(torch.float32)
        one, one_alphas, one_meta = render(alone, K)
        one.square().sum().backward()
        assert torch.equal(picture[n, 0], one)
        assert torch.equal(alphas[n, 0], one_alphas)
        if packed:
            mine = meta["batch_ids"] == n
            assert torch.equal(meta["camera_ids"][mine], one_meta["camera_ids"])
            assert torch.equal(meta["opacities"][mine], one_meta["opacities"])
        for batched, single in zip(whole, alone, strict=True):
            if single.grad is not None:
                assert batched.grad is not None
                # Tiles are shared out among the threads by cost, which moves the order of sums.
                torch.testing.assert_close(batched.grad[n, 0], single.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_covariances_stand_for_rotations_and_scales(packed: bool) -> None:
    scene = random_scene(15, 70, 2).leaves(torch.float32)
    covars, _ = quat_scale_to_covar_preci(scene.quats, scene.scales, compute_preci=False)
    wanted, _, _ = _render(scene, 40, 30, packed=packed)
    found, _, _ = _rasterization(
        scene.means, None, None, scene.opacities, scene.sh, scene.viewmats, intrinsics(2, 40, 30), 40, 30,
        covars=covars, packed=packed, sh_degree=3, backgrounds=scene.backgrounds,
    )  # fmt: skip
    assert_pictures(found, wanted)
    leaves = [scene.means, scene.quats, scene.scales, scene.viewmats]
    weights = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(
        torch.autograd.grad(found, leaves, weights), torch.autograd.grad(wanted, leaves, weights), strict=True
    ):
        assert_gradients(ours, theirs)


def test_sparse_gradients_are_the_dense_ones() -> None:
    """Plain colours leave the means' gradient sparse; harmonics add a dense one, as in gsplat."""
    scene = random_scene(16, 60, 2)
    colors = torch.rand(60, 3, generator=torch.Generator().manual_seed(0))
    for plain in (True, False):
        gradients = []
        for sparse in (False, True):
            leaves = scene.leaves(torch.float32)
            inputs = leaves._replace(sh=colors) if plain else leaves
            picture, _, _ = _render(inputs, 40, 30, sparse_grad=sparse, sh_degree=None if plain else 3)
            picture.square().sum().backward()
            gradients.append([leaves.means.grad, leaves.quats.grad, leaves.scales.grad])
        assert [t.is_sparse for t in gradients[1] if t is not None] == [plain, True, True]
        for dense, sparse_ in zip(*gradients, strict=True):
            assert dense is not None
            assert sparse_ is not None
            torch.testing.assert_close(sparse_.to_dense(), dense, rtol=1e-4, atol=1e-6)


def test_sparse_gradients_of_covariances_are_the_dense_ones() -> None:
    scene, gradients = random_scene(15, 70, 2), []
    covars, _ = quat_scale_to_covar_preci(scene.quats, scene.scales, compute_preci=False)
    assert covars is not None
    for sparse in (False, True):
        leaf = covars.clone().requires_grad_()
        picture, _, _ = _render(scene, 40, 30, covars=leaf, sparse_grad=sparse)
        picture.square().sum().backward()
        gradients.append(leaf.grad)
    assert gradients[1] is not None
    assert gradients[1].is_sparse
    torch.testing.assert_close(gradients[1].to_dense(), gradients[0], rtol=1e-4, atol=1e-6)


def test_torchs_default_dtype_changes_nothing() -> None:
    scene, K, errors = random_scene(16, 60, 2), intrinsics(2, 40, 30), torch.rand(2, 30, 40)

    def run() -> list[Tensor]:
        found: list[Tensor] = []
        for options in (
            {"render_mode": "RGB+ED", "absgrad": True},
            {"packed": False, "rasterize_mode": "antialiased"},
            {"packed": False, "with_ut": True, "with_eval3d": True},
        ):
            leaves = Scene(*(t.clone().requires_grad_() for t in scene))
            viewmats = scene.viewmats if "with_ut" in options else leaves.viewmats
            picture, alphas, meta = _rasterization(
                *leaves[:5], viewmats, K, 40, 30, sh_degree=3, backgrounds=leaves.backgrounds, **options
            )
            (picture.square().sum() + alphas.sum()).backward()
            found += [picture, alphas, *splat_scores(meta, errors)]
            found += [t.grad for t in leaves if t.grad is not None]
        return found

    wanted = run()
    torch.set_default_dtype(torch.float64)
    try:
        found = run()
    finally:
        torch.set_default_dtype(torch.float32)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)


def test_depth_needs_no_colours() -> None:
    scene = random_scene(17, 40)
    wanted, _, _ = _render(scene, 20, 20, render_mode="ED")
    arguments = (*scene[:4], None, scene.viewmats, intrinsics(1, 20, 20), 20, 20)
    found, _, _ = _rasterization(*arguments, render_mode="ED")
    assert torch.equal(found, wanted)
    with pytest.raises(ValueError, match="colors"):
        _rasterization(*arguments)


def test_meta_holds_what_density_control_reads() -> None:
    scene = random_scene(8, 60).leaves(torch.float32)
    picture, _, meta = _render(scene, 33, 20, absgrad=True, packed=False)
    meta["means2d"].retain_grad()
    picture.sum().backward()
    shapes = {
        "radii": (1, 60, 2), "means2d": (1, 60, 2), "depths": (1, 60), "conics": (1, 60, 3),
        "opacities": (1, 60), "tiles_per_gauss": (1, 60), "isect_offsets": (1, 2, 3),
    }  # fmt: skip
    for key, shape in shapes.items():
        assert tuple(meta[key].shape) == shape, key
    numbers = {"width": 33, "height": 20, "tile_width": 3, "tile_height": 2, "tile_size": 16, "n_cameras": 1}
    assert {key: meta[key] for key in numbers} == numbers
    assert len(meta["isect_ids"]) == len(meta["flatten_ids"]) == int(meta["tiles_per_gauss"].sum())
    assert meta["means2d"].grad.shape == meta["means2d"].absgrad.shape == (1, 60, 2)
    assert meta["means2d"].grad.any()


@pytest.mark.parametrize("per_camera", [False, True])
def test_any_channels_and_colours_of_each_camera(per_camera: bool) -> None:
    scene = random_scene(9, 50, 2)
    g = torch.Generator().manual_seed(0)
    colors = torch.rand(*((2,) if per_camera else ()), 50, 6, generator=g)
    K = intrinsics(2, 24, 24)
    picture, _, _ = rasterization(*scene[:4], colors, scene.viewmats, K, 24, 24)
    assert picture.shape == (2, 24, 24, 6)
    for camera in range(2):
        own = colors[camera] if per_camera else colors
        for first in (0, 3):
            three, _, _ = _rasterization(
                *scene[:4], own[:, first : first + 3], scene.viewmats[camera, None], K[:1], 24, 24
            )
            torch.testing.assert_close(picture[camera, ..., first : first + 3], three[0])


@pytest.mark.parametrize("tile_size", [1, 6, 20, 32, 64])
def test_the_size_of_tiles_does_not_matter(tile_size: int) -> None:
    scene = random_scene(15, 80)
    results = []
    for size in (16, tile_size):
        leaves = scene.leaves(torch.float32)
        picture, alphas, _ = _render(leaves, 71, 50, tile_size=size)
        picture.square().sum().backward()
        results.append((picture, alphas, leaves))
    (wanted, wanted_alphas, theirs), (picture, alphas, ours) = results
    # Tiles stop at a transmittance of 1e-4.
    assert (picture - wanted).abs().max() < 3e-4
    assert (alphas - wanted_alphas).abs().max() < 1e-4
    for a, b in zip(ours, theirs, strict=True):
        assert_gradients(a.grad, b.grad)


def test_splats_outside_cost_nothing_and_get_no_gradient() -> None:
    scene = random_scene(10, 30)
    behind = scene._replace(means=scene.means - torch.tensor([0.0, 0.0, 30.0])).leaves(torch.float32)
    picture, alphas, meta = _render(behind, 20, 20)
    assert torch.equal(picture, behind.backgrounds[:, None, None].expand_as(picture))
    assert not alphas.any()
    assert len(meta["flatten_ids"]) == 0
    picture.sum().backward()
    for leaf in behind[:6]:
        assert leaf.grad is not None
        assert not leaf.grad.any()


def test_no_splats_at_all() -> None:
    scene = random_scene(0, 0).leaves(torch.float32)
    picture, alphas, _ = _render(scene, 9, 5)
    picture.sum().backward()
    assert torch.equal(picture, scene.backgrounds[:, None, None].expand(1, 5, 9, 3))
    assert not alphas.any()


def test_two_runs_are_equal_bit_for_bit() -> None:
    scene = random_scene(12, 2000)

    def run() -> list[Tensor]:
        leaves = scene.leaves(torch.float32)
        picture, alphas, _ = _render(leaves, 200, 150, render_mode="RGB+ED")
        picture.square().sum().backward()
        return [picture, alphas, *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    first = run()
    assert len(first) == 9
    for _ in range(3):
        assert all(torch.equal(a, b) for a, b in zip(first, run(), strict=True))


def test_threads_may_render_at_once() -> None:
    """A viewer draws while a fit runs its backward pass: the same numbers, and no abort."""
    scene = random_scene(13, 800)

    def run() -> list[Tensor]:
        leaves = scene.leaves(torch.float32)
        picture, _, _ = _render(leaves, 120, 90)
        picture.square().sum().backward()
        return [picture, *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    alone = run()
    equal: list[bool] = []

    def work() -> None:
        for _ in range(6):
            equal.append(all(torch.equal(a, b) for a, b in zip(alone, run(), strict=True)))  # noqa: PERF401

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert equal == [True] * 24


EXTREME = st.one_of(
    st.floats(-10, 10, width=32),
    st.sampled_from([0.0, 1e-30, -1e-30, 1e-8, 0.01, 1e4, -1e4, 1e9, -1e9, 1e20, -1e20, 3e38, -3e38]),
)
WILD = st.one_of(EXTREME, st.sampled_from([math.nan, math.inf, -math.inf]))


@st.composite
def _splat(draw: st.DrawFn, numbers: st.SearchStrategy[float]) -> list[float]:
    """mean 3, quaternion 4, scales 3, opacity."""
    row = [draw(numbers) for _ in range(7)]
    row += [abs(draw(numbers)) for _ in range(3)]
    return [*row, draw(st.sampled_from([0.0, 1e-9, 1 / 255, 0.5, 1.0]))]


MODEL = st.sampled_from(["pinhole", "ortho", "fisheye", "equirectangular"])
NEAR = st.sampled_from([0.01, 0.0, -1e10])  # gsplat lets orthographic cameras look behind themselves


def _torture(
    rows: list[list[float]], width: int, height: int, mode: str, model: str = "pinhole", **options: Any
) -> tuple[Tensor, list[Tensor]]:
    table = torch.tensor(rows).view(-1, 11)
    leaves = [table[:, :3], table[:, 3:7], table[:, 7:10], table[:, 10], torch.full((len(rows), 4, 3), 0.3)]
    leaves += [torch.eye(4)[None]]
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    picture, alphas, meta = _rasterization(
        *leaves,
        intrinsics(1, width, height),
        width,
        height,
        sh_degree=1,
        rasterize_mode=mode,
        camera_model=model,
        **options,
    )
    (picture.sum() + alphas.sum()).backward()
    assert all(torch.isfinite(t).all() for t in splat_scores(meta, alphas[..., 0].detach()))
    return torch.cat([picture, alphas], -1), [leaf.grad for leaf in leaves if leaf.grad is not None]


SIZES = st.sampled_from([(1, 1), (16, 16), (17, 5), (40, 33)])
MODE = st.sampled_from(["classic", "antialiased"])
SHOWN = st.fixed_dictionaries(
    {
        "packed": st.booleans(),
        "render_mode": st.sampled_from(MODES),
        "tile_size": st.sampled_from([16, 16, 3, 40]),
    }
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_splat(EXTREME), max_size=6), SIZES, MODE, MODEL, NEAR, SHOWN)
def test_finite_splats_give_finite_pictures_and_gradients(
    rows: list[list[float]], size: tuple[int, int], mode: str, model: str, near: float, shown: dict[str, Any]
) -> None:
    """Needles, giants, points, splats on the camera plane and at the end of the world; twice the same."""
    picture, gradients = _torture(rows, *size, mode, model, near_plane=near, **shown)
    assert torch.isfinite(picture).all()
    for gradient in gradients:
        assert not torch.isnan(gradient).any()
    again, gradients_again = _torture(rows, *size, mode, model, near_plane=near, **shown)
    assert torch.equal(picture, again)
    assert all(torch.equal(a, b) for a, b in zip(gradients, gradients_again, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(_splat(WILD), min_size=1, max_size=4), SIZES, MODE, MODEL, st.booleans())
def test_splats_that_are_not_finite_are_left_out(
    rows: list[list[float]], size: tuple[int, int], mode: str, model: str, packed: bool
) -> None:
    broken = [row for row in rows if not all(map(math.isfinite, row))]
    whole = [row for row in rows if all(map(math.isfinite, row))]
    picture, _ = _torture(rows, *size, mode, model, packed=packed)
    assert torch.isfinite(picture).all()
    if whole and broken:
        assert torch.equal(picture, _torture(whole, *size, mode, model, packed=packed)[0])


@pytest.mark.parametrize("opacity", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("mode", ["classic", "antialiased"])
@pytest.mark.parametrize("space", [{}, {"with_eval3d": True}, {"with_ut": True, "with_eval3d": True}])
def test_an_opacity_that_is_not_finite_is_not_seen(mode: str, space: dict[str, bool], opacity: float) -> None:
    scene = random_scene(3, 30)
    without = scene._replace(opacities=scene.opacities.clone())
    scene.opacities[:5], without.opacities[:5] = opacity, 0.0
    leaves = scene.leaves(torch.float32)
    moving = leaves if not space else leaves._replace(viewmats=scene.viewmats)  # in space they cannot move
    picture, _, _ = _render(moving, 40, 33, rasterize_mode=mode, packed=False, **space)
    assert torch.equal(picture, _render(without, 40, 33, rasterize_mode=mode, packed=False, **space)[0])
    picture.sum().backward()
    for leaf in (leaves.means, leaves.quats, leaves.scales, *(() if space else (leaves.viewmats,))):
        assert leaf.grad is not None and torch.isfinite(leaf.grad).all()


def test_lenses_that_want_a_gradient_get_none() -> None:
    leaves = random_scene(3, 30).leaves(torch.float32)
    Ks, radial = intrinsics(1, 40, 33).requires_grad_(), torch.full((1, 6), 1e-3).requires_grad_()
    picture, _, _ = _rasterization(
        *leaves[:5],
        leaves.viewmats.detach(),
        Ks,
        40,
        33,
        sh_degree=3,
        with_ut=True,
        with_eval3d=True,
        packed=False,
        radial_coeffs=radial,
    )
    picture.sum().backward()
    assert Ks.grad is None and radial.grad is None and leaves.means.grad is not None


def test_a_covariance_that_is_none_is_not_seen() -> None:
    """Blurred it is still a hyperbola, whose falloff would grow until all is covered."""
    covars = torch.tensor([[[0.1, 0.2, 0.0], [0.2, 0.1, 0.0], [0.0, 0.0, 0.1]]])
    means, colors, K = torch.tensor([[0.0, 0.0, 2.0]]), torch.ones(1, 3), intrinsics(1, 40, 33)
    _, alphas, meta = _rasterization(
        means, None, None, torch.full((1,), 0.1), colors, torch.eye(4)[None], K, 40, 33, covars=covars,
        packed=False,
    )  # fmt: skip
    assert (meta["radii"] == 0).all() and (alphas == 0).all()


def test_a_scene_behind_glass_of_4k() -> None:
    scene = random_scene(14, 400)
    picture, alphas, _ = _render(scene, 3840, 2160)
    assert picture.shape == (1, 2160, 3840, 3)
    assert torch.isfinite(picture).all()
    assert alphas.max() > 0.5


@pytest.mark.parametrize(
    "options",
    [
        {"camera_model": "ftheta"},
        {"distributed": True},
    ],
)
def test_what_is_missing_says_so(options: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError, match=next(iter(options))):
        _render(random_scene(0, 5), 20, 20, **options)


def test_wrong_input_is_named() -> None:
    scene = random_scene(0, 5)
    with pytest.raises(ValueError, match="render_mode"):
        _render(scene, 20, 20, render_mode="RGBD")
    with pytest.raises(ValueError, match="rasterize_mode"):
        _render(scene, 20, 20, rasterize_mode="sharp")
    with pytest.raises(ValueError, match="colors: expected shape"):
        _render(scene._replace(sh=scene.sh[:3]), 20, 20)
    with pytest.raises(ValueError, match="opacities: expected shape"):
        _render(scene._replace(opacities=scene.opacities[:3]), 20, 20)
    with pytest.raises(AssertionError, match="sparse_grad needs packed"):
        _render(scene, 20, 20, sparse_grad=True, packed=False)
    with pytest.raises(TypeError, match=r"means: expected float32 on the CPU, got torch\.float64"):
        _render(scene._replace(means=scene.means.double()), 20, 20)
    for packed in (False, True):
        with pytest.raises(ShapeError, match="colors: expected one channel or more"):
            _render(scene._replace(sh=torch.zeros(5, 0)), 20, 20, sh_degree=None, packed=packed)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        _render(scene, 20, 20, colour=1)
