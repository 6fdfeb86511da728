from __future__ import annotations

import numpy as np
import torch

from firstlight.scene import Gaussians
from firstlight.view.frame import frame_scene
from firstlight.view.splats import to_splats


def random_gaussians(count: int = 50, degree: int = 2) -> Gaussians:
    generator = torch.Generator().manual_seed(1)
    return Gaussians(
        means=torch.randn(count, 3, generator=generator) + 4,
        quats=3 * torch.randn(count, 4, generator=generator),
        log_scales=torch.randn(count, 3, generator=generator) - 3,
        logit_opacities=2 * torch.randn(count, generator=generator),
        sh=torch.randn(count, (degree + 1) ** 2, 3, generator=generator),
    )


def test_covariances_are_those_of_the_scene() -> None:
    gaussians = random_gaussians()
    gaussians.quats[0] = 0.0  # no direction: no turn
    frame = frame_scene(gaussians, None)
    splats = to_splats(gaussians, frame)
    expected = gaussians.to(torch.float64).covariances * frame.to_page.scale**2
    np.testing.assert_allclose(splats.covariances, expected, rtol=1e-4, atol=1e-6)
    assert splats.covariances.dtype == np.float32
    assert (splats.rgbs >= 0).all() and (splats.rgbs <= 1).all() and splats.rgbs.std() > 0.1


def test_what_is_not_finite_is_left_out() -> None:
    gaussians = random_gaussians(6)
    gaussians.means[0, 1] = float("nan")
    gaussians.sh[1, 0, 0] = float("inf")
    gaussians.log_scales[2, 0] = 300.0  # finite, but its exponential is not
    gaussians.sh[3, 1, 0] = float("nan")  # is not drawn, so it does no harm
    splats = to_splats(gaussians, frame_scene(gaussians, None))
    assert len(splats) == 3
    for array in (splats.centers, splats.covariances, splats.rgbs, splats.opacities):
        assert len(array) == 3 and np.isfinite(array).all()


def test_a_copy_is_taken() -> None:
    gaussians = random_gaussians()
    splats = to_splats(gaussians, frame_scene(gaussians, None))
    before = [array.copy() for array in (splats.centers, splats.rgbs, splats.opacities)]
    for tensor in gaussians:
        tensor.zero_()  # as an optimiser changes them in place
    for array, old in zip((splats.centers, splats.rgbs, splats.opacities), before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_parameters_with_gradients_are_taken() -> None:
    gaussians = random_gaussians()
    for tensor in gaussians:
        tensor.requires_grad_()
    assert len(to_splats(gaussians, frame_scene(gaussians, None))) == 50


def test_faint_splats_can_be_hidden_and_all_resized() -> None:
    gaussians = random_gaussians()
    splats = to_splats(gaussians, frame_scene(gaussians, None))
    shown = splats.shown(0.5, 2.0)
    keep = gaussians.opacities.numpy() >= 0.5
    assert 0 < len(shown) == keep.sum() < 50
    np.testing.assert_allclose(shown.covariances, 4 * splats.covariances[keep], rtol=1e-5)
    np.testing.assert_array_equal(splats.shown(0.0, 1.0).centers, splats.centers)


def test_covariances_survive_half_precision() -> None:
    gaussians = random_gaussians(3)
    gaussians.log_scales[0] = 30.0  # a sky, far beyond what half precision holds
    gaussians.log_scales[1] = torch.tensor([-1.0, -1.0, 20.0])
    small = to_splats(gaussians, frame_scene(gaussians, None)).shown(0.0, 2.0).covariances
    halves = small.astype(np.float16).astype(np.float64)
    assert np.isfinite(halves).all()
    assert (np.linalg.eigvalsh(halves)[:, -1] > 1e-3).all()


def test_tiny_scenes_keep_their_shapes() -> None:
    gaussians = random_gaussians()
    tiny = Gaussians(
        gaussians.means * 1e-4,
        gaussians.quats,
        gaussians.log_scales + np.log(1e-4),
        gaussians.logit_opacities,
        gaussians.sh,
    )
    exact = to_splats(tiny, frame_scene(tiny, None)).covariances
    halves = exact.astype(np.float16).astype(np.float32)
    size = np.trace(exact, axis1=1, axis2=2)
    assert (np.abs(halves - exact).max((1, 2)) / size).max() < 0.01
