"""The whole way for surfels against its twin, depth maps into normals, and the limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from firstlight.density.gsplat import DefaultStrategy
from firstlight.render import (
    depth_to_normal,
    depth_to_points,
    rasterization_2dgs,
    render_surfels,
    twins,
)
from firstlight.scene import Cameras, Gaussians, Similarity
from tests.render.scenes import Scene, assert_gradients, assert_pictures, intrinsics, random_scene
from tests.render.test_rasterization import EXTREME, MODES, SIZES, WILD, _splat

# Without types: mypy cannot count tensors that are unpacked from a list.
_rasterization: Any = rasterization_2dgs
_twin: Any = twins.rasterization_2dgs


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
@pytest.mark.parametrize(("depth_mode", "cameras"), [("expected", 1), ("median", 2)])
@pytest.mark.parametrize("packed", [False, True])
def test_kernels_are_the_twin(mode: str, depth_mode: str, cameras: int, packed: bool) -> None:
    width, height = 51, 38
    scene = random_scene(11, 120, cameras)
    scene = scene._replace(scales=1.5 * scene.scales)
    single, double = scene.leaves(torch.float32), scene.leaves(torch.float64)
    *found, meta = _render(single, width, height, render_mode=mode, depth_mode=depth_mode, packed=packed)
    wanted = _twin(
        *double[:6],
        intrinsics(cameras, width, height).double(),
        width,
        height,
        sh_degree=3,
        backgrounds=double.backgrounds,
        render_mode=mode,
        depth_mode=depth_mode,
        exp=twins.series_exp,
    )
    g = torch.Generator().manual_seed(0)
    surface = found.pop(3)
    if not mode.startswith("RGB+"):
        assert surface is None
    else:
        assert surface.shape == (*((cameras,) if cameras > 1 else ()), height, width, 3)
        theirs = wanted[3]
        wanted = (*wanted[:3], *wanted[4:])
        # A jump of the median, or an alpha that rounding lets in, turns a pixel's normal.
        difference = (surface.view_as(theirs) - theirs).norm(dim=-1)
        assert (difference > 1e-3).double().mean() < 0.02
    assert_pictures(found[0], wanted[0], scale=10.0 if "D" in mode else 1.0)
    assert_pictures(found[1], wanted[1])
    assert_pictures(found[2], wanted[2])
    assert_pictures(found[3], wanted[3], scale=10.0)
    assert (found[4] - wanted[4]).abs().gt(1e-5).double().mean() < 5e-3
    weights = [torch.randn(t.shape, generator=g) for t in found]
    if mode.endswith("ED"):  # where next to nothing is seen, expected depth is all rounding
        weights[0][..., -1:] *= (found[1] > 0.02).float()
    torch.autograd.backward(found, weights)
    torch.autograd.backward(wanted, [w.double() for w in weights])
    for ours, theirs in zip(single, double, strict=True):
        assert_gradients(ours.grad, theirs.grad, 2e-3)
    assert meta["gradient_2dgs"].grad.any()


def test_gradients_pass_through_the_normals_of_the_depth() -> None:
    """The loss of the paper: how far the surfels' own normals are from those of their depth map."""
    scene = random_scene(18, 60)._replace(scales=torch.full((60, 3), 0.6), opacities=torch.full((60,), 0.7))
    single, double = scene.leaves(torch.float32), scene.leaves(torch.float64)
    K, options = intrinsics(1, 24, 20), {"sh_degree": 3, "render_mode": "RGB+ED"}
    found = _rasterization(*single[:6], K, 24, 20, **options)
    wanted = _twin(*double[:6], K.double(), 24, 20, exp=twins.series_exp, **options)
    (found[2] * found[3]).sum().backward()
    (wanted[2] * wanted[3]).sum().backward()
    for name in ("means", "quats", "scales", "opacities", "viewmats"):
        assert_gradients(getattr(single, name).grad, getattr(double, name).grad, 1e-2)
    still = scene.leaves(torch.float32)._replace(viewmats=scene.viewmats)  # then kernels make the normals
    found = _rasterization(*still[:6], K, 24, 20, **options)
    (found[2] * found[3]).sum().backward()
    for name in ("means", "quats", "scales", "opacities"):
        assert_gradients(getattr(still, name).grad, getattr(double, name).grad, 1e-2)


def test_twin_passes_finite_differences() -> None:
    """Every gradient of the whole way in float64, away from the cut-offs."""
    scene = random_scene(4, 2, degree=0)
    near = scene._replace(
        means=scene.means * 0.2, scales=torch.full((2, 3), 0.8), opacities=torch.full((2,), 0.6)
    )
    K = intrinsics(1, 3, 3).double()

    def render(*inputs: Tensor) -> Any:
        return _twin(*inputs[:6], K, 3, 3, sh_degree=0, backgrounds=inputs[6], render_mode="RGB+ED")

    assert torch.autograd.gradcheck(render, tuple(near.leaves(torch.float64)))


@pytest.mark.parametrize("mode", ["RGB", "RGB+D"])
def test_packed_is_dense(mode: str) -> None:
    scene = random_scene(7, 90, 2)
    results = []
    for packed in (False, True):
        leaves = scene.leaves(torch.float32)
        *maps, meta = _render(leaves, 40, 30, packed=packed, render_mode=mode)
        meta["means2d"].retain_grad()
        sum(t.square().sum() for t in maps if t is not None).backward()
        results.append((maps, meta, leaves))
    (dense, dense_meta, a), (packed_, packed_meta, b) = results
    assert all(x is y is None or torch.equal(x, y) for x, y in zip(dense, packed_, strict=True))
    for ours, theirs in zip(a, b, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)
    cameras, surfels = packed_meta["camera_ids"], packed_meta["gaussian_ids"]
    for key in ("radii", "means2d", "depths", "ray_transforms", "opacities", "normals", "tiles_per_gauss"):
        assert torch.equal(dense_meta[key][cameras, surfels], packed_meta[key])
    for key in ("means2d", "gradient_2dgs"):
        assert torch.equal(dense_meta[key].grad[cameras, surfels], packed_meta[key].grad)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("colours", ["sh", "sh of each camera", "plain", "plain of each camera"])
def test_batches_are_scenes_of_their_own(colours: str, packed: bool) -> None:
    """Bit for bit the maps of each scene alone, and the notes in gsplat's shapes."""
    scenes = [random_scene(seed, 50, 2) for seed in (1, 2)]
    g = torch.Generator().manual_seed(0)
    shape = ((2,) if "each" in colours else ()) + ((50, 16, 3) if "sh" in colours else (50, 5))
    scenes = [scene._replace(sh=torch.rand(*shape, generator=g) - 0.3) for scene in scenes]
    whole = Scene(*(torch.stack(t)[:, None] for t in zip(*scenes, strict=True))).leaves(torch.float32)
    degree = 3 if "sh" in colours else None
    options: dict[str, Any] = {"sh_degree": degree, "packed": packed, "render_mode": "RGB+ED"}
    K = intrinsics(2, 33, 20)
    *maps, meta = _rasterization(*whole[:6], K.expand(2, 1, 2, 3, 3), 33, 20, **options)
    assert maps[0].shape == (2, 1, 2, 20, 33, 4 if degree else 6)
    assert maps[2].shape == maps[3].shape == (2, 1, 2, 20, 33, 3)
    assert maps[1].shape == maps[4].shape == maps[5].shape == (2, 1, 2, 20, 33, 1)
    assert meta["isect_offsets"].shape == (2, 1, 2, 2, 3)
    assert meta["radii"].shape == ((len(meta["batch_ids"]), 2) if packed else (2, 1, 2, 50, 2))
    sum(t.square().sum() for t in maps[:3]).backward()
    for n, scene in enumerate(scenes):
        alone = scene.leaves(torch.float32)
        *one, _ = _rasterization(*alone[:6], K, 33, 20, **options)
        sum(t.square().sum() for t in one[:3]).backward()
        for batched, single in zip(maps, one, strict=True):
            assert torch.equal(batched[n, 0], single)
        for batched, single in zip(whole[:6], alone[:6], strict=True):
            # Tiles are shared out among the threads by cost, which moves the order of sums.
            assert batched.grad is not None
            torch.testing.assert_close(batched.grad[n, 0], single.grad, rtol=1e-3, atol=1e-3)


def test_sparse_gradients_are_the_dense_ones() -> None:
    scene, colors = random_scene(16, 60, 2), torch.rand(60, 3, generator=torch.Generator().manual_seed(0))
    gradients = []
    for sparse in (False, True):
        leaves = scene.leaves(torch.float32)
        picture, *_ = _render(
            leaves._replace(sh=colors), 40, 30, sparse_grad=sparse, packed=True, sh_degree=None
        )
        picture.square().sum().backward()
        gradients.append([leaves.means.grad, leaves.quats.grad, leaves.scales.grad])
    for dense, sparse_ in zip(*gradients, strict=True):
        assert sparse_ is not None
        assert sparse_.is_sparse
        torch.testing.assert_close(sparse_.to_dense(), dense, rtol=1e-3, atol=1e-5)


def test_depth_needs_no_colours() -> None:
    scene = random_scene(17, 40)
    wanted = _render(scene, 20, 20, render_mode="ED")[0]
    arguments = (*scene[:4], None, scene.viewmats, intrinsics(1, 20, 20), 20, 20)
    assert torch.equal(_rasterization(*arguments, render_mode="ED")[0], wanted)
    with pytest.raises(ValueError, match="colors"):
        _rasterization(*arguments)


def test_meta_is_gsplats() -> None:
    scene = random_scene(8, 60).leaves(torch.float32)
    picture, *_, distortions, _, meta = _render(scene, 33, 20, absgrad=True, render_mode="RGB+D")
    picture.sum().backward()
    assert list(meta) == [
        "batch_ids", "camera_ids", "gaussian_ids", "radii", "means2d", "depths", "ray_transforms",
        "opacities", "normals", "tile_width", "tile_height", "tiles_per_gauss", "isect_ids", "flatten_ids",
        "isect_offsets", "width", "height", "tile_size", "n_cameras", "render_distort", "gradient_2dgs",
    ]  # fmt: skip
    shapes = {
        "radii": (1, 60, 2), "means2d": (1, 60, 2), "depths": (1, 60), "ray_transforms": (1, 60, 3, 3),
        "opacities": (1, 60), "normals": (1, 60, 3), "isect_offsets": (1, 2, 3), "gradient_2dgs": (1, 60, 2),
    }  # fmt: skip
    for key, shape in shapes.items():
        assert tuple(meta[key].shape) == shape, key
    assert meta["render_distort"] is distortions
    assert len(meta["isect_ids"]) == len(meta["flatten_ids"]) == int(meta["tiles_per_gauss"].sum())
    assert meta["means2d"].absgrad.shape == (1, 60, 2)


def test_density_control_reads_the_gradient_for_surfels() -> None:
    """gsplat's own strategy, asked to look at ``gradient_2dgs``, grows what pulls hardest."""
    scene = random_scene(8, 60)
    names = ("means", "quats", "scales", "opacities", "sh0")
    values = [scene.means, scene.quats, scene.scales.log(), torch.logit(scene.opacities), scene.sh[:, :1]]
    params = torch.nn.ParameterDict(dict(zip(names, values, strict=True)))
    optimizers = {name: torch.optim.Adam([params[name]], lr=1e-3) for name in names}
    strategy = DefaultStrategy(
        refine_start_iter=0, refine_every=1, grow_grad2d=1e-6, prune_opa=0.0, key_for_gradient="gradient_2dgs"
    )
    state = strategy.initialize_state()
    p = [params[name] for name in names]
    picture, *_, meta = _rasterization(
        p[0],
        p[1],
        p[2].exp(),
        p[3].sigmoid(),
        p[4],
        scene.viewmats,
        intrinsics(1, 40, 30),
        40,
        30,
        sh_degree=0,
    )
    strategy.step_pre_backward(params, optimizers, state, 1, meta)
    picture.square().sum().backward()
    strategy.step_post_backward(params, optimizers, state, 1, meta)
    assert len(params["means"]) > 60


@pytest.mark.parametrize("mode", ["RGB", "ED", "RGB+ED"])
@pytest.mark.parametrize("count", [0, 30])
def test_nothing_in_the_picture(count: int, mode: str) -> None:
    scene = random_scene(10, count)
    behind = scene._replace(means=scene.means - torch.tensor([0.0, 0.0, 30.0])).leaves(torch.float32)
    *maps, meta = _render(behind, 20, 9, render_mode=mode)
    if mode == "RGB":
        assert torch.equal(maps[0], behind.backgrounds[:, None, None].expand_as(maps[0]))
    assert not any(t.any() for t in maps[1:] if t is not None)
    assert len(meta["flatten_ids"]) == 0
    sum(t.sum() for t in maps if t is not None).backward()
    for leaf in behind[:6]:
        assert leaf.grad is None or not leaf.grad.any()


@pytest.mark.parametrize("packed", [False, True])
def test_no_camera_sees_no_picture(packed: bool) -> None:
    *maps, _ = _render(random_scene(10, 5, 0), 20, 9, render_mode="RGB+ED", packed=packed)
    assert [t.shape for t in maps] == [(0, 9, 20, wide) for wide in (4, 1, 3, 3, 1, 1)]


def test_two_runs_are_equal_bit_for_bit() -> None:
    scene = random_scene(12, 2000)

    def run() -> list[Tensor]:
        leaves = scene.leaves(torch.float32)
        *maps, meta = _render(leaves, 200, 150, render_mode="RGB+ED", absgrad=True)
        sum(t.square().sum() for t in maps).backward()
        found = [*maps, meta["gradient_2dgs"].grad, meta["means2d"].absgrad, *(leaf.grad for leaf in leaves)]
        return [t for t in found if t is not None]

    first = run()
    assert len(first) == 15
    for _ in range(3):
        assert all(torch.equal(a, b) for a, b in zip(first, run(), strict=True))


def _torture(rows: list[list[float]], width: int, height: int, mode: str, **options: Any) -> Any:
    table = torch.tensor(rows).view(-1, 11)
    leaves = [table[:, :3], table[:, 3:7], table[:, 7:10], table[:, 10], torch.full((len(rows), 4, 3), 0.3)]
    # Packed, the camera stays: kernels then make the normals of the depth map.
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    leaves.append(torch.eye(4)[None].requires_grad_(not options["packed"]))
    K = intrinsics(1, width, height)
    *maps, _ = _rasterization(*leaves, K, width, height, sh_degree=1, render_mode=mode, **options)
    maps = [t for t in maps if t is not None]
    sum(t.sum() for t in maps).backward()
    return maps, [leaf.grad for leaf in leaves if leaf.grad is not None]


@st.composite
def _edge_on(draw: st.DrawFn) -> list[float]:
    """A surfel whose plane holds the ray to its middle, or nearly."""
    x, y, z = (draw(st.sampled_from([-0.3, 0.0, 0.25])) for _ in range(3))
    turn = math.pi / 4 + draw(st.sampled_from([0.0, 1e-7, 1e-4, -1e-2]))
    quat = draw(st.permutations([math.cos(turn), math.sin(turn), 0.0, 0.0]))
    scales = [draw(st.sampled_from([0.0, 1e-20, 1e-6, 0.1, 3.0, 1e6])) for _ in range(3)]
    return [x, y, abs(z) + 1.0, *quat, *scales, draw(st.sampled_from([0.5, 1.0]))]


MODE = st.sampled_from(["RGB", "ED", "RGB+D", "RGB+ED"])
TILE = st.sampled_from([16, 16, 3, 40])


@settings(max_examples=70, deadline=None)
@given(st.lists(st.one_of(_splat(EXTREME), _edge_on()), max_size=6), SIZES, MODE, st.booleans(), TILE)
def test_finite_surfels_give_finite_pictures_and_gradients(
    rows: list[list[float]], size: tuple[int, int], mode: str, packed: bool, tile_size: int
) -> None:
    """Needles, giants, points, edges, surfels through the camera plane; twice the same."""
    maps, gradients = _torture(rows, *size, mode, packed=packed, tile_size=tile_size)
    assert all(torch.isfinite(t).all() for t in maps)
    assert not any(torch.isnan(t).any() for t in gradients)
    again, gradients_again = _torture(rows, *size, mode, packed=packed, tile_size=tile_size)
    assert all(torch.equal(a, b) for a, b in zip(maps, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(gradients, gradients_again, strict=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(_splat(WILD), min_size=1, max_size=4), SIZES, MODE, st.booleans())
def test_surfels_that_are_not_finite_are_left_out(
    rows: list[list[float]], size: tuple[int, int], mode: str, packed: bool
) -> None:
    flat = [[*row[:9], 1.0, row[10]] for row in rows]  # the third scale is not looked at
    broken = [row for row in flat if not all(map(math.isfinite, row))]
    whole = [row for row in flat if all(map(math.isfinite, row))]
    maps, _ = _torture(flat, *size, mode, packed=packed)
    assert all(torch.isfinite(t).all() for t in maps)
    if whole and broken:
        alone, _ = _torture(whole, *size, mode, packed=packed)
        assert all(torch.equal(a, b) for a, b in zip(maps, alone, strict=True))


def test_a_depth_map_of_a_plane_has_its_normal() -> None:
    """n · p = 1 in camera axes; the camera is turned and moved, and depth is along the axis or the ray."""
    scene = random_scene(3, 1, 2)
    camtoworlds, K = torch.linalg.inv(scene.viewmats).double(), intrinsics(2, 12, 9).double()
    normal = torch.nn.functional.normalize(torch.tensor([0.2, -0.3, -1.0]).double(), dim=0)
    y, x = torch.meshgrid(torch.arange(9) + 0.5, torch.arange(12) + 0.5, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], -1).double()
    rays = torch.einsum("cij,hwj->chwi", torch.linalg.inv(K), pixels)
    along_axis = -2.0 / (rays @ normal)[..., None]
    wanted = torch.einsum("cij,j->ci", camtoworlds[:, :3, :3], normal)[:, None, None]
    for z_depth in (True, False):
        depths = along_axis if z_depth else along_axis * rays.norm(dim=-1, keepdim=True)
        points = depth_to_points(depths, camtoworlds, K, z_depth)
        back = torch.einsum("cij,chwj->chwi", scene.viewmats[:, :3, :3].double(), points)
        back = back + scene.viewmats[:, None, None, :3, 3]
        torch.testing.assert_close(back, rays * along_axis, atol=1e-6, rtol=1e-6)
        found = depth_to_normal(depths, camtoworlds, K, z_depth)
        torch.testing.assert_close(found[:, 1:-1, 1:-1], wanted.expand(2, 7, 10, 3), atol=1e-6, rtol=1e-6)
        assert not found[:, 0].any()
        assert not found[:, :, -1].any()
    assert not depth_to_normal(along_axis[:, :2], camtoworlds, K).any()
    assert depth_to_normal(along_axis[:, :, :1].float(), camtoworlds, K).shape == (2, 9, 1, 3)
    with pytest.raises(ValueError, match="depths: expected shape"):
        depth_to_normal(along_axis[..., 0], camtoworlds, K)
    with pytest.raises(ValueError, match="expected camtoworlds"):
        depth_to_normal(along_axis, camtoworlds[0], K)


@pytest.mark.parametrize("scale", [1e-7, 1e7])
def test_normals_of_depths_know_no_unit(scale: float) -> None:
    scene, K = random_scene(3, 1, 1), intrinsics(1, 12, 9)
    camtoworlds = torch.linalg.inv(scene.viewmats)
    camtoworlds[:, :3, 3] = 0.0  # in float32 it would take the digits of small depths
    depths = 2 + torch.rand(1, 9, 12, 1, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(1, 9, 12, 3, generator=torch.Generator().manual_seed(1))
    for cameras_move in (False, True):  # by the kernels, and by torch
        poses, found, slopes = camtoworlds.clone().requires_grad_(cameras_move), [], []
        for unit in (1.0, scale):
            leaf = (unit * depths).requires_grad_()
            found.append(depth_to_normal(leaf, poses, K))
            (slope,) = torch.autograd.grad(found[-1], leaf, weights)
            slopes.append(unit * slope)
        assert found[0][:, 1:-1, 1:-1].norm(dim=-1).min() > 0.99
        torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(slopes[1], slopes[0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("images", "height", "width"), [((), 3, 3), ((2,), 7, 12), ((1, 2), 4, 9)])
def test_normals_of_depths_are_the_twin(images: tuple[int, ...], height: int, width: int) -> None:
    """The kernel is the torch function, which cameras that need a gradient and float64 go through."""
    count = math.prod(images)
    scene, K = random_scene(3, 1, count), intrinsics(count, width, height)
    camtoworlds = torch.linalg.inv(scene.viewmats).view(*images, 4, 4)
    g = torch.Generator().manual_seed(0)
    depths = 2 + torch.rand(*images, height, width, 1, generator=g)
    depths[..., 0, 0, 0] = 0.0
    single, double = depths.requires_grad_(), depths.detach().double().requires_grad_()
    found = depth_to_normal(single, camtoworlds, K.view(*images, 3, 3))
    wanted = depth_to_normal(double, camtoworlds.double(), K.view(*images, 3, 3).double())
    torch.testing.assert_close(found.double(), wanted, atol=1e-6, rtol=1e-5)
    weights = torch.randn(found.shape, generator=g)
    found.backward(weights)  # type: ignore[no-untyped-call]
    wanted.backward(weights.double())  # type: ignore[no-untyped-call]
    assert_gradients(single.grad, double.grad, 1e-5)
    leaf = camtoworlds.requires_grad_()
    by_torch = depth_to_normal(single.detach(), leaf, K.view(*images, 3, 3))
    torch.testing.assert_close(by_torch, found, atol=1e-4, rtol=1e-4)


def test_holes_pass_no_gradient_to_the_cameras() -> None:
    """Nothing has no normal, whichever way it is looked at: in float32 it is no noise either."""
    scene, K = random_scene(5, 1, 2), intrinsics(2, 15, 12)
    camtoworlds = torch.linalg.inv(scene.viewmats)
    g = torch.Generator().manual_seed(0)
    depths = 2 + torch.rand(2, 12, 15, 1, generator=g)
    depths[:, 3:8, 4:11] = 0.0
    weights, gradients = torch.randn(2, 12, 15, 3, generator=g), []
    for dtype in (torch.float32, torch.float64):
        map_, poses, lenses = (t.detach().to(dtype).requires_grad_() for t in (depths, camtoworlds, K))
        normals = depth_to_normal(map_, poses, lenses)
        assert not normals[:, 4:7, 5:10].any()
        gradients.append(torch.autograd.grad(normals, (map_, poses, lenses), weights.to(dtype)))
    for ours, theirs in zip(*gradients, strict=True):
        assert_gradients(ours, theirs)
    still = depths.clone().requires_grad_()  # then kernels do it
    normals = depth_to_normal(still, camtoworlds, K)
    assert_gradients(torch.autograd.grad(normals, still, weights)[0], gradients[1][0])


def test_torchs_default_dtype_changes_nothing() -> None:
    scene, K = random_scene(16, 40, 2), intrinsics(2, 30, 20)

    def run(packed: bool) -> list[Tensor]:
        leaves = Scene(*(t.clone().requires_grad_() for t in scene))
        *maps, _ = _rasterization(
            *leaves[:6], K, 30, 20, sh_degree=3, packed=packed, render_mode="RGB+ED", absgrad=True
        )
        sum(t.square().sum() for t in maps).backward()
        return [*maps, *(t.grad for t in leaves if t.grad is not None)]

    wanted = run(True) + run(False)
    torch.set_default_dtype(torch.float64)
    try:
        found = run(True) + run(False)
    finally:
        torch.set_default_dtype(torch.float32)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)


def test_one_camera_sees_a_surface() -> None:
    """A wall of surfels three units ahead, askew to the camera's axis."""
    y, x = torch.meshgrid(torch.linspace(-4, 4, 25), torch.linspace(-4, 4, 25), indexing="ij")
    means = torch.stack([x, y, 3.0 + 0.5 * x], -1).reshape(-1, 3)
    wall = Gaussians.isotropic(means, torch.rand(625, 3), torch.full((625,), 0.4), opacity=0.95)
    normal = torch.nn.functional.normalize(torch.tensor([0.5, 0.0, -1.0]), dim=0)
    half = 0.5 * torch.atan2(normal[0], normal[2])
    wall.quats = torch.tensor([torch.cos(half), 0.0, torch.sin(half), 0.0]).repeat(625, 1)
    camera = Cameras(
        torch.eye(4)[None].double(), intrinsics(1, 32, 24).double(), torch.tensor([32]), torch.tensor([24])
    )
    view = render_surfels(wall, camera, background=torch.ones(3), depth_mode="median")
    assert view.colors.shape == view.normals.shape == view.surface.shape == (24, 32, 3)
    assert view.alpha.min() > 0.9
    ray = (torch.arange(32) + 0.5 - 0.48 * 32) / (1.1 * 32)
    assert (view.depth[12] - 3.0 / (1.0 - 0.5 * ray)).abs().max() < 0.3
    assert (view.depth - view.median).abs().max() < 0.6
    assert (view.distortion >= -1e-6).all()
    own = torch.nn.functional.normalize(view.normals, dim=-1)
    torch.testing.assert_close(own, normal.expand(24, 32, 3), atol=1e-4, rtol=0)
    assert (render_surfels(wall, camera).surface[4:-4, 4:-4] @ normal).median() > 0.9
    small = wall.transform(Similarity(0.001, torch.eye(3).double(), torch.zeros(3).double()))
    assert not render_surfels(small, camera).alpha.any(), "all of it is nearer than the near plane"
    near = render_surfels(small, camera, near=1e-5)
    torch.testing.assert_close(near.alpha, render_surfels(wall, camera).alpha, atol=1e-4, rtol=0)
    assert (near.surface[4:-4, 4:-4] @ normal).median() > 0.9
    with pytest.raises(ValueError, match="one undistorted pinhole camera"):
        render_surfels(wall, camera.select([]))


def test_wrong_input_is_named() -> None:
    scene = random_scene(0, 5)
    with pytest.raises(ValueError, match="render_mode"):
        _render(scene, 20, 20, render_mode="RGBD")
    with pytest.raises(ValueError, match="depth_mode"):
        _render(scene, 20, 20, depth_mode="mean")
    with pytest.raises(AssertionError, match="distloss needs depth"):
        _render(scene, 20, 20, distloss=True)
    with pytest.raises(ValueError, match="opacities: expected shape"):
        _render(scene._replace(opacities=scene.opacities[:3]), 20, 20)
    with pytest.raises(ValueError, match="colors: expected shape"):
        _render(scene._replace(sh=scene.sh[:3]), 20, 20)
    with pytest.raises(ValueError, match="tile_size of at least 1"):
        _render(scene, 20, 20, tile_size=0)
