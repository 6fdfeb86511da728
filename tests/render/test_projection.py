"""Projection: kernels against the twin, the twin against finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from firstlight.render import ShapeError, fully_fused_projection, quat_scale_to_covar_preci, twins
from tests.render.scenes import Scene, assert_gradients, intrinsics, random_scene

NAMES = ("means", "quats", "scales", "viewmats")
MODELS = ("pinhole", "ortho", "fisheye", "equirectangular")
WIDTH, HEIGHT = 61, 43


def lens(cameras: int, model: str, width: int = WIDTH, height: int = HEIGHT) -> torch.Tensor:
    """Intrinsics that show a random scene."""
    K = intrinsics(cameras, width, height)
    if model == "ortho":
        K[:, :2, :2] /= 4.0  # pixels a unit of the scene, which is some four units across
    return K


def _project(scene: Any, K: torch.Tensor, width: int = WIDTH, height: int = HEIGHT, **options: Any) -> Any:
    given = {
        "means": scene.means, "covars": None, "quats": scene.quats, "scales": scene.scales,
        "viewmats": scene.viewmats, "Ks": K, "width": width, "height": height,
    }  # fmt: skip
    return fully_fused_projection(**{**given, **options})


def _around(scene: Scene, model: str) -> Scene:
    """The camera in the middle of the scene for a model that looks all around."""
    if model != "equirectangular":
        return scene
    viewmats = scene.viewmats.clone()
    viewmats[:, :3, 3] = torch.tensor([0.1, -0.2, 0.15])
    return scene._replace(viewmats=viewmats, means=2.0 * scene.means)


def _assert_same(found: list[Any], wanted: list[torch.Tensor], *leaves: tuple[Any, Any]) -> None:
    """Values, and gradients of (single, double) pairs of leaves under random weights."""
    loss, wanted_loss = torch.zeros(()), torch.zeros((), dtype=torch.float64)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)
        weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
        loss, wanted_loss = loss + (ours * weights).sum(), wanted_loss + (theirs * weights).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    wanted_loss.backward()  # type: ignore[no-untyped-call]
    for single, double in leaves:
        assert_gradients(single.grad, double.grad, 1e-4)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("count", "cameras"), [(1, 3), (7, 1), (200, 3)])
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("with_opacities", [False, True])
def test_kernel_is_the_twin(
    model: str, count: int, cameras: int, antialiased: bool, with_opacities: bool
) -> None:
    scene = _around(random_scene(count, count, cameras), model)
    single, double = scene.leaves(torch.float32), scene.leaves(torch.float64)
    K = lens(cameras, model)
    radii, *found = _project(
        single,
        K,
        calc_compensations=antialiased,
        opacities=single.opacities if with_opacities else None,
        camera_model=model,
    )
    wanted_radii, *wanted = twins.fully_fused_projection(
        double.means,
        double.quats,
        double.scales,
        double.viewmats,
        K.double(),
        WIDTH,
        HEIGHT,
        antialiased=antialiased,
        opacities=double.opacities if with_opacities else None,
        camera_model=model,
    )
    assert torch.equal(radii, wanted_radii)
    if count > 100:
        assert (radii[..., 0] > 0).double().mean() > 0.2
    assert (found[3] is not None) == antialiased
    if not antialiased:
        found, wanted = found[:3], wanted[:3]
    _assert_same(found, wanted, *((getattr(single, name), getattr(double, name)) for name in NAMES))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("packed", [False, True])
def test_covariances_are_the_twin(model: str, packed: bool) -> None:
    scene = _around(random_scene(3, 80, 2), model)
    whole, _ = quat_scale_to_covar_preci(scene.quats, scene.scales, compute_preci=False)
    assert whole is not None
    rows, columns = torch.triu_indices(3, 3)
    single, double = scene.leaves(torch.float32), scene.leaves(torch.float64)
    covars = whole[:, rows, columns].clone().requires_grad_()
    covars64 = covars.detach().double().requires_grad_()
    K = lens(2, model)
    options: dict[str, Any] = {"camera_model": model, "calc_compensations": True, "covars": covars}
    *ids, radii, means2d, depths, conics, compensations = _project(
        single, K, quats=None, scales=None, packed=packed, **options
    )
    full = covars64[:, [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]
    wanted_radii, *wanted = twins.fully_fused_projection(
        double.means, None, None, double.viewmats, K.double(), WIDTH, HEIGHT, antialiased=True,
        camera_model=model, covars=full,
    )  # fmt: skip
    if packed:
        places = tuple(ids[1:])
        wanted_radii, wanted = wanted_radii[places], [t[places] for t in wanted]
    assert torch.equal(radii, wanted_radii)
    found = [means2d, depths, conics, compensations]
    pairs = [(getattr(single, name), getattr(double, name)) for name in ("means", "viewmats")]
    _assert_same(found, wanted, *pairs, (covars, covars64))
    assert single.quats.grad is None


@pytest.mark.parametrize("model", MODELS)
def test_twin_passes_finite_differences(model: str) -> None:
    scene = _around(random_scene(3, 2), model).leaves(torch.float64)
    K = lens(1, model, 40, 30).double()

    twin: Any = twins.fully_fused_projection

    def project(*inputs: torch.Tensor) -> Any:
        return twin(*inputs, K, 40, 30, antialiased=True, camera_model=model)[1:]

    assert torch.autograd.gradcheck(project, (scene.means, scene.quats, scene.scales, scene.viewmats))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sparse_grad", [False, True])
def test_packed_rows_are_the_dense_ones(model: str, sparse_grad: bool) -> None:
    scene = _around(random_scene(5, 150, 3), model)
    scene.opacities[::7] = 0.0
    K = lens(3, model)
    options: dict[str, Any] = {"camera_model": model, "calc_compensations": True}
    one, two = scene.leaves(torch.float32), scene.leaves(torch.float32)
    radii, *dense = _project(one, K, opacities=one.opacities, **options)
    batches, cameras, splats, packed_radii, *packed = _project(
        two, K, opacities=two.opacities, packed=True, sparse_grad=sparse_grad, **options
    )
    seen = torch.nonzero(radii[..., 0] > 0)
    assert 0 < len(seen) < radii[..., 0].numel()
    assert torch.equal(torch.stack([cameras, splats], 1), seen)
    assert batches.dtype == cameras.dtype == splats.dtype == torch.int64
    assert not batches.any()
    assert torch.equal(packed_radii, radii[cameras, splats])
    losses = [torch.zeros(()), torch.zeros(())]
    for ours, theirs in zip(packed, dense, strict=True):
        assert torch.equal(ours, theirs[cameras, splats])
        weights = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1))
        losses[0] = losses[0] + (theirs * weights).sum()
        losses[1] = losses[1] + (ours * weights[cameras, splats]).sum()
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    for name in NAMES:
        ours, theirs = getattr(two, name).grad, getattr(one, name).grad
        assert ours.is_sparse == (sparse_grad and name != "viewmats")
        torch.testing.assert_close(ours.to_dense(), theirs)
        if ours.is_sparse:
            assert torch.equal(ours._indices()[0], splats)
            assert not ours.is_coalesced()


def test_sparse_gradients_of_one_camera_are_coalesced() -> None:
    scene = random_scene(6, 40).leaves(torch.float32)
    *_, splats, _, means2d, _, _, _ = _project(scene, lens(1, "pinhole"), packed=True, sparse_grad=True)
    (gradient,) = torch.autograd.grad(means2d.sum(), scene.means)
    assert gradient.is_coalesced()
    assert torch.equal(gradient.indices()[0], splats)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("batch", [(2,), (2, 3), (0,)])
def test_batches_are_scenes_of_their_own(batch: tuple[int, ...], packed: bool) -> None:
    """Bit for bit what each scene gives alone, gradients too."""
    size = torch.Size(batch).numel()
    scenes = [random_scene(seed, 60, 2) for seed in range(size)]
    if scenes:
        parts = [torch.stack(t).view(*batch, *t[0].shape) for t in zip(*scenes, strict=True)]
        whole = Scene(*parts).leaves(torch.float32)
    else:
        whole = Scene(*(torch.zeros(*batch, *t.shape) for t in random_scene(0, 60, 2))).leaves(torch.float32)
    K = lens(2, "pinhole")
    options = {"packed": packed, "calc_compensations": True}
    out = _project(whole, K.expand(*batch, 2, 3, 3), opacities=whole.opacities, **options)
    sum(t.square().sum() for t in out[-4:]).backward()
    alone = [scene.leaves(torch.float32) for scene in scenes]
    results = [_project(scene, K, opacities=scene.opacities, **options) for scene in alone]
    for result in results:
        sum(t.square().sum() for t in result[-4:]).backward()
    if packed:
        assert len(out) == 8
        numbers = [torch.full_like(result[0], n) for n, result in enumerate(results)]
        assert torch.equal(out[0], torch.cat(numbers) if numbers else out[0])
        assert out[3].shape[1:] == (2,)
    for k in range(1 if packed else 0, len(out)):
        found = [result[k] for result in results]
        if packed and found:
            assert torch.equal(out[k], torch.cat(found))
        elif found:
            assert torch.equal(out[k], torch.stack(found).view(out[k].shape))
        else:
            assert out[k].numel() == 0
    for name in NAMES:
        gradient = getattr(whole, name).grad.view(-1, *getattr(random_scene(0, 60, 2), name).shape)
        for n, scene in enumerate(alone):
            assert torch.equal(gradient[n], getattr(scene, name).grad)


def test_a_fisheye_is_exact_on_its_axis() -> None:
    """On the axis angle and slope are the same, and near it their functions are sums of series."""
    offsets = torch.tensor([0.0, 1e-12, 1e-6, 1e-3, 0.02, 0.031, 0.0317, 0.05])
    means = torch.stack([offsets, -0.5 * offsets, torch.full_like(offsets, 2.0)], -1)
    count = len(means)
    covars = torch.tensor([0.01, 0.002, 0.001, 0.02, 0.003, 0.015]).repeat(count, 1)
    single, double = means.clone().requires_grad_(), means.double().requires_grad_()
    K = intrinsics(1, 80, 60)
    scene = random_scene(0, count)._replace(means=single, viewmats=torch.eye(4)[None])
    _, means2d, _, conics, _ = _project(scene, K, 80, 60, covars=covars, camera_model="fisheye")
    full = covars.double()[:, [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]
    _, wanted2d, _, wanted_conics, _ = twins.fully_fused_projection(
        double,
        None,
        None,
        torch.eye(4).double()[None],
        K.double(),
        80,
        60,
        camera_model="fisheye",
        covars=full,
    )
    far = offsets >= 1e-3  # nearer, the twin divides zero by zero
    for ours, theirs in ((means2d, wanted2d), (conics, wanted_conics)):
        torch.testing.assert_close(ours[:, far].double(), theirs[:, far], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours[:, 0], ours[:, 1])
    (means2d.sum() + conics.sum()).backward()
    (wanted2d[:, far].sum() + wanted_conics[:, far].sum()).backward()  # type: ignore[no-untyped-call]
    assert single.grad is not None
    assert double.grad is not None
    torch.testing.assert_close(single.grad[far].double(), double.grad[far], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(single.grad[0], single.grad[1])


def test_an_equirectangular_picture_shows_all_around() -> None:
    """Forward is the middle, right is right, up is up, behind is the border; the poles stay finite."""
    means = torch.tensor(
        [[0, 0, 2], [2, 0, 0], [-2, 0, 0], [0, -2, 2], [0, 2, 2], [1e-3, 0, -2], [0.02, -2, 0], [0, 2, 1e-9]],
        dtype=torch.float32,
    ).requires_grad_()
    count = len(means)
    scene = random_scene(0, count)._replace(means=means, viewmats=torch.eye(4)[None])
    radii, means2d, depths, conics, _ = _project(
        scene,
        torch.zeros(1, 3, 3),
        80,
        40,
        scales=torch.full((count, 3), 0.05),
        camera_model="equirectangular",
    )
    assert (radii > 0).all()
    wanted = [[40, 20], [60, 20], [20, 20], [40, 10], [40, 30], [80, 20]]
    torch.testing.assert_close(means2d[0, :6], torch.tensor(wanted, dtype=torch.float32), atol=0.02, rtol=0)
    torch.testing.assert_close(means2d[0, 6:, 1], torch.tensor([0.0, 40.0]), atol=0.2, rtol=0)
    torch.testing.assert_close(depths[0], means.detach().norm(dim=-1))
    (means2d.sum() + conics.sum() + depths.sum()).backward()
    for tensor in (means2d, conics, means.grad):
        assert tensor is not None
        assert torch.isfinite(tensor).all()
    assert radii[0, 6, 0] > 40  # a splat at the pole covers its whole row


def test_camera_gradient_moves_the_picture() -> None:
    """A step of the camera against the gradient brings a projected point to where it should be."""
    means = torch.tensor([[0.1, -0.2, 0.0], [0.5, 0.3, 1.0], [-0.4, 0.2, 0.5]])
    quats, scales = torch.tensor([[1.0, 0, 0, 0]]).repeat(3, 1), torch.full((3, 3), 0.1)
    K = intrinsics(1, 100, 80)
    viewmat = torch.eye(4)[None]
    viewmat[0, 2, 3] = 3.0

    def centers(view: torch.Tensor) -> torch.Tensor:
        moved: torch.Tensor = fully_fused_projection(means, None, quats, scales, view, K, 100, 80)[1]
        return moved

    goal = centers(viewmat)
    moved = viewmat.clone()
    moved[0, 0, 3] += 0.05
    moved.requires_grad_()
    before = ((centers(moved) - goal) ** 2).sum()
    before.backward()  # type: ignore[no-untyped-call]
    assert moved.grad is not None
    after = ((centers(moved.detach() - 1e-4 * moved.grad) - goal) ** 2).sum()
    assert after < 0.9 * before


@pytest.mark.parametrize("cameras", [0, 2])
def test_gradients_of_what_no_camera_sees_are_zero(cameras: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was in the memory that they are written to."""
    empty = torch.empty
    monkeypatch.setattr(
        torch, "empty", lambda *a, **k: empty(*a, **k).fill_(7) if "dtype" not in k else empty(*a, **k)
    )
    scene = random_scene(0, 30, cameras).leaves(torch.float32)
    behind = scene.means - torch.tensor([0.0, 0.0, 100.0])
    found = _project(scene._replace(means=behind), intrinsics(cameras, WIDTH, HEIGHT))
    sum(values.sum() for values in found[1:4]).backward()
    for leaf in (scene.means, scene.quats, scene.scales):
        assert leaf.grad is not None
        assert not leaf.grad.any()


@pytest.mark.parametrize(
    "mean",
    [
        (0, 0, -1),
        (0, 0, 0),
        (0, 0, 0.0099),
        (0, 0, 2e10),
        (1e6, 0, 1),
        (float("nan"), 0, 1),
        (0, 0, float("inf")),
    ],
)
def test_what_cannot_be_seen_is_culled(mean: tuple[float, float, float]) -> None:
    radii, means2d, depths, conics, _ = fully_fused_projection(
        torch.tensor([mean], dtype=torch.float32),
        None,
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.full((1, 3), 0.01),
        torch.eye(4)[None],
        intrinsics(1, 32, 32),
        32,
        32,
    )
    for output in (radii, means2d, depths, conics):
        assert not output.any()


def test_radius_clip_and_faint_splats() -> None:
    means, quats = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[1.0, 0, 0, 0]])
    view, K, small = torch.eye(4)[None], intrinsics(1, 32, 32), torch.full((1, 3), 1e-3)
    faint = torch.tensor([0.003])
    for options in ({"radius_clip": 3.0}, {"opacities": faint}):
        radii = fully_fused_projection(means, None, quats, small, view, K, 32, 32, **options)[0]
        assert not radii.any()
    assert fully_fused_projection(means, None, quats, small, view, K, 32, 32)[0].all()


def test_a_needle_keeps_its_shape_in_single_precision() -> None:
    """Ten thousand pixels long and as thin as the blur: the inverse must stay positive definite."""
    turn = torch.tensor([[0.9239, 0.0, 0.0, 0.3827]])
    conic = fully_fused_projection(
        torch.tensor([[0.0, 0.0, 1.0]]),
        None,
        turn,
        torch.tensor([[100.0, 1e-6, 1e-6]]),
        torch.eye(4)[None],
        intrinsics(1, 100, 100),
        100,
        100,
        eps2d=0.3,
    )[3]
    assert torch.isfinite(conic).all()
    assert (conic[..., [0, 2]] > 0).all()


def test_covariance_and_precision_are_inverse() -> None:
    scene = random_scene(0, 20).leaves(torch.float64)
    covariance, precision = quat_scale_to_covar_preci(scene.quats, scene.scales)
    assert covariance is not None
    assert precision is not None
    torch.testing.assert_close(covariance @ precision, torch.eye(3).double().repeat(20, 1, 1))
    lengths = torch.linalg.eigvalsh(covariance).sqrt()
    torch.testing.assert_close(lengths, scene.scales.sort(-1).values)
    triangle, none = quat_scale_to_covar_preci(scene.quats, scene.scales, compute_preci=False, triu=True)
    assert none is None
    assert triangle is not None
    torch.testing.assert_close(triangle[:, [0, 3, 5]], covariance.diagonal(dim1=-2, dim2=-1))
    torch.testing.assert_close(triangle[:, [1, 2, 4]], covariance[:, [0, 0, 1], [1, 2, 2]])
    with pytest.raises(ShapeError, match="expected quats"):
        quat_scale_to_covar_preci(scene.quats, scene.scales[:3])


def test_wrong_input_is_named() -> None:
    scene = random_scene(0, 4)
    K = intrinsics(1, 8, 8)
    with pytest.raises(ValueError, match=r"quats: expected shape \[4, 4\], got \[4, 3\]"):
        fully_fused_projection(scene.means, None, scene.scales, scene.scales, scene.viewmats, K, 8, 8)
    with pytest.raises(TypeError, match="means: expected float32 on the CPU"):
        fully_fused_projection(scene.means.double(), None, scene.quats, scene.scales, scene.viewmats, K, 8, 8)
    with pytest.raises(NotImplementedError, match="ftheta"):
        _project(scene, K, 8, 8, camera_model="ftheta")
    with pytest.raises(ValueError, match="camera_model: expected one of"):
        _project(scene, K, 8, 8, camera_model="pinhol")
    with pytest.raises(AssertionError, match="sparse_grad needs packed"):  # gsplat's kind of error, too
        _project(scene, K, 8, 8, sparse_grad=True)
    with pytest.raises(ValueError, match=r"covars: expected shape \[4, 6\], got \[4, 5\]"):
        _project(scene, K, 8, 8, covars=torch.zeros(4, 5))
    with pytest.raises(ValueError, match="expected covars, or quats and scales"):
        _project(scene, K, 8, 8, quats=None)
    with pytest.raises(ValueError, match=r"viewmats: expected shape \[2, 1, 4, 4\]"):
        _project(
            scene,
            K,
            8,
            8,
            means=scene.means.expand(2, 4, 3),
            quats=torch.ones(2, 4, 4),
            scales=torch.ones(2, 4, 3),
        )
