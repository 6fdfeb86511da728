"""Small random scenes for the rasteriser's tests."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Scene(NamedTuple):
    """Everything that gradients flow to."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    sh: Tensor
    viewmats: Tensor
    backgrounds: Tensor

    def leaves(self, dtype: torch.dtype) -> Scene:
        return Scene(*(t.detach().to(dtype).clone().requires_grad_() for t in self))


def random_scene(seed: int, count: int, cameras: int = 1, degree: int = 3) -> Scene:
    """Splats in a ball around the origin, cameras some four units away that look at it askew."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    viewmats = torch.eye(4).repeat(cameras, 1, 1)
    for camera in range(cameras):
        viewmats[camera, :3, :3] = torch.linalg.qr(torch.eye(3) + 0.2 * normal(3, 3)).Q
        if torch.linalg.det(viewmats[camera, :3, :3]) < 0:
            viewmats[camera, 0] *= -1
        if viewmats[camera, 2, 2] < 0:
            viewmats[camera, :3, :3] = torch.eye(3)
        viewmats[camera, :3, 3] = torch.tensor([0.0, 0.0, 4.0]) + 0.2 * normal(3)
    return Scene(
        means=normal(count, 3),
        quats=normal(count, 4),
        scales=(0.7 * normal(count, 3) - 2.2).exp(),
        opacities=torch.rand(count, generator=g) * 0.97 + 0.02,
        sh=0.3 * normal(count, (degree + 1) ** 2, 3),
        viewmats=viewmats,
        backgrounds=torch.rand(cameras, 3, generator=g),
    )


def intrinsics(cameras: int, width: int, height: int) -> Tensor:
    K = torch.tensor([[1.1 * width, 0, 0.48 * width], [0, 1.2 * width, 0.55 * height], [0, 0, 1]])
    return K.repeat(cameras, 1, 1)


def assert_pictures(found: Tensor, wanted: Tensor, scale: float = 1.0) -> None:
    """Equal to 1e-5, but where rounding decides whether an alpha reaches 1/255."""
    difference = (found - wanted).abs() / scale
    assert difference.max() < 5e-3
    assert (difference > 1e-5).double().mean() < 2e-3


def assert_gradients(found: Tensor | None, wanted: Tensor | None, tolerance: float = 1e-3) -> None:
    """Equal to ``tolerance`` of the largest, or of 0.01 where all are tiny."""
    if wanted is None or not wanted.any():
        assert found is None or found.abs().max() < 1e-6
        return
    assert found is not None
    assert torch.isfinite(found).all()
    error = (found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-2)
    assert error < tolerance, float(error)
