"""Projection: kernels against the twin, the twin against finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from firstlight.render import fully_fused_projection, quat_scale_to_covar_preci, twins
from tests.render.scenes import assert_gradients, intrinsics, random_scene

NAMES = ("means", "quats", "scales", "viewmats")


@pytest.mark.parametrize("count", [1, 7, 200])
@pytest.mark.parametrize("cameras", [1, 3])
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("with_opacities", [False, True])
def test_kernel_is_the_twin(count: int, cameras: int, antialiased: bool, with_opacities: bool) -> None:
    scene = random_scene(count, count, cameras)
    single, double = scene.leaves(torch.float32), scene.leaves(torch.float64)
    K = intrinsics(cameras, 61, 43)
    radii, *found = fully_fused_projection(
        single.means,
        None,
        single.quats,
        single.scales,
        single.viewmats,
        K,
        61,
        43,
        calc_compensations=antialiased,
        opacities=single.opacities if with_opacities else None,
    )
    wanted_radii, *wanted = twins.fully_fused_projection(
        double.means,
        double.quats,
        double.scales,
        double.viewmats,
        K.double(),
        61,
        43,
        antialiased=antialiased,
        opacities=double.opacities if with_opacities else None,
    )
    assert torch.equal(radii, wanted_radii)
    assert (found[3] is not None) == antialiased
    if not antialiased:
        found, wanted = found[:3], wanted[:3]
    loss, wanted_loss = torch.zeros(()), torch.zeros((), dtype=torch.float64)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours is not None
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-6)
        weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
        loss, wanted_loss = loss + (ours * weights).sum(), wanted_loss + (theirs * weights).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    wanted_loss.backward()  # type: ignore[no-untyped-call]
    for name in NAMES:
        assert_gradients(getattr(single, name).grad, getattr(double, name).grad, 1e-4)


def test_twin_passes_finite_differences() -> None:
    scene = random_scene(3, 3, 2).leaves(torch.float64)
    K = intrinsics(2, 40, 30).double()

    twin: Any = twins.fully_fused_projection

    def project(*inputs: torch.Tensor) -> Any:
        return twin(*inputs, K, 40, 30, antialiased=True)[1:]

    assert torch.autograd.gradcheck(project, (scene.means, scene.quats, scene.scales, scene.viewmats))


def test_camera_gradient_moves_the_picture() -> None:
    """A step of the camera against the gradient brings a projected point to where it should be."""
    means = torch.tensor([[0.1, -0.2, 0.0], [0.5, 0.3, 1.0], [-0.4, 0.2, 0.5]])
    quats, scales = torch.tensor([[1.0, 0, 0, 0]]).repeat(3, 1), torch.full((3, 3), 0.1)
    K = intrinsics(1, 100, 80)
    viewmat = torch.eye(4)[None]
    viewmat[0, 2, 3] = 3.0

    def centers(view: torch.Tensor) -> torch.Tensor:
        return fully_fused_projection(means, None, quats, scales, view, K, 100, 80)[1]

    goal = centers(viewmat)
    moved = viewmat.clone()
    moved[0, 0, 3] += 0.05
    moved.requires_grad_()
    before = ((centers(moved) - goal) ** 2).sum()
    before.backward()  # type: ignore[no-untyped-call]
    assert moved.grad is not None
    after = ((centers(moved.detach() - 1e-4 * moved.grad) - goal) ** 2).sum()
    assert after < 0.9 * before


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
    with pytest.raises(ValueError, match="expected quats"):
        quat_scale_to_covar_preci(scene.quats, scene.scales[:3])


def test_wrong_input_is_named() -> None:
    scene = random_scene(0, 4)
    K = intrinsics(1, 8, 8)
    with pytest.raises(ValueError, match=r"quats: expected shape \[4, 4\], got \[4, 3\]"):
        fully_fused_projection(scene.means, None, scene.scales, scene.scales, scene.viewmats, K, 8, 8)
    with pytest.raises(TypeError, match="means: expected float32 on the CPU"):
        fully_fused_projection(scene.means.double(), None, scene.quats, scene.scales, scene.viewmats, K, 8, 8)
    for options in ({"packed": True}, {"camera_model": "ortho"}, {"covars": torch.zeros(4, 6)}):
        given = {"covars": None, **options}
        with pytest.raises(NotImplementedError, match="fully_fused_projection"):
            fully_fused_projection(
                scene.means,
                quats=scene.quats,
                scales=scene.scales,
                viewmats=scene.viewmats,
                Ks=K,
                width=8,
                height=8,
                **given,  # type: ignore[arg-type]
            )
