"""Spherical harmonics: kernels against the twin, the twin against finite differences."""

from __future__ import annotations

import pytest
import torch

from firstlight.render import spherical_harmonics, twins
from firstlight.render._harmonics import view_colors
from tests.render.scenes import assert_gradients, random_scene


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("batch", [(1,), (50,), (3, 20)])
def test_kernel_is_the_twin(degree: int, batch: tuple[int, ...]) -> None:
    g = torch.Generator().manual_seed(degree)
    dirs = torch.randn(*batch, 3, generator=g).requires_grad_()
    coeffs = torch.randn(*batch, 25, 3, generator=g).requires_grad_()
    dirs64, coeffs64 = (t.detach().double().requires_grad_() for t in (dirs, coeffs))
    found, wanted = (
        spherical_harmonics(degree, dirs, coeffs),
        twins.spherical_harmonics(degree, dirs64, coeffs64),
    )
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    weights = torch.randn(found.shape, generator=g)
    (found * weights).sum().backward()  # type: ignore[no-untyped-call]
    (wanted * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert_gradients(coeffs.grad, coeffs64.grad, 1e-5)
    assert_gradients(dirs.grad, dirs64.grad, 1e-5)


def test_twin_passes_finite_differences() -> None:
    g = torch.Generator().manual_seed(0)
    dirs = torch.randn(4, 3, generator=g, dtype=torch.float64, requires_grad=True)
    coeffs = torch.randn(4, 25, 3, generator=g, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d, c: twins.spherical_harmonics(4, d, c), (dirs, coeffs))


def test_masks_leave_zeros_and_pass_no_gradient() -> None:
    g = torch.Generator().manual_seed(0)
    dirs = torch.randn(6, 3, generator=g)
    coeffs = torch.randn(6, 9, 3, generator=g).requires_grad_()
    masks = torch.tensor([True, False, True, False, False, True])
    colors = spherical_harmonics(2, dirs, coeffs, masks)
    colors.sum().backward()  # type: ignore[no-untyped-call]
    assert coeffs.grad is not None
    assert not colors[~masks].any()
    assert not coeffs.grad[~masks].any()
    assert torch.equal(colors[masks], spherical_harmonics(2, dirs, coeffs)[masks])


@pytest.mark.parametrize("own", [False, True])
def test_view_colors_follow_the_camera(own: bool) -> None:
    """From means and cameras, with the floor at black, shared or one set of coefficients a camera."""
    scene = random_scene(5, 40, cameras=3)
    sh = scene.sh.expand(3, -1, -1, -1).clone() if own else scene.sh
    if own:
        sh += torch.randn(sh.shape, generator=torch.Generator().manual_seed(1))
    radii = torch.ones(3, 40, 2, dtype=torch.int32)
    radii[1, :5] = 0
    means, views, coeffs = (t.clone().requires_grad_() for t in (scene.means, scene.viewmats, sh))
    means64, views64, coeffs64 = (t.double().requires_grad_() for t in (scene.means, scene.viewmats, sh))
    found = view_colors(means, views, coeffs, 3, radii)
    centers = torch.inverse(views64)[:, None, :3, 3]
    wanted = (twins.spherical_harmonics(3, means64 - centers, coeffs64) + 0.5).clamp(min=0)
    wanted = wanted * (radii[..., :1] > 0)
    assert (wanted == 0).any()
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(2))
    (found * weights).sum().backward()  # type: ignore[no-untyped-call]
    (wanted * weights).sum().backward()  # type: ignore[no-untyped-call]
    for ours, theirs in ((means, means64), (views, views64), (coeffs, coeffs64)):
        assert_gradients(ours.grad, theirs.grad, 1e-4)


def test_no_direction_is_no_accident() -> None:
    dirs = torch.zeros(1, 3, requires_grad=True)
    coeffs = torch.ones(1, 16, 3, requires_grad=True)
    colors = spherical_harmonics(3, dirs, coeffs)
    colors.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(colors).all()
    assert dirs.grad is not None
    assert torch.isfinite(dirs.grad).all()


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="degree 2"):
        spherical_harmonics(2, torch.ones(1, 3), torch.ones(1, 4, 3))
    with pytest.raises(ValueError, match="degree 5"):
        spherical_harmonics(5, torch.ones(1, 3), torch.ones(1, 36, 3))
    with pytest.raises(ValueError, match="masks"):
        spherical_harmonics(0, torch.ones(2, 3), torch.ones(2, 1, 3), torch.ones(3, dtype=torch.bool))
