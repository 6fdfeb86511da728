"""The surface term pulls Gaussians flat into the plane of their neighbours."""

from __future__ import annotations

from typing import Any

import torch

from firstlight.fitting import SurfaceAlignment
from firstlight.fitting.terms import View
from firstlight.scene import Cameras, Gaussians
from firstlight.scene.rotation import quat_to_rotmat
from tests.scenes import ring


def view(gaussians: Gaussians, fraction: float, memory: dict[str, Any]) -> View:
    blank = torch.zeros(2, 2)
    photo = torch.zeros(2, 2, 3, dtype=torch.uint8)
    camera, generator = ring(1), torch.Generator()

    def look(camera: Cameras, exposed: bool = True) -> Any:
        raise AssertionError("not asked for")

    return View(
        blank[..., None], blank, photo, None, gaussians, fraction, 0, camera, 1.0, generator, look, memory
    )


def test_gaussians_turn_flat_into_their_plane() -> None:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(120, 3, generator=generator) * torch.tensor([1.0, 1.0, 0.02])
    scene = Gaussians.isotropic(means, torch.zeros(120, 3), torch.full((120,), 0.1))
    scene.quats = torch.randn(120, 4, generator=generator)
    scene.log_scales = scene.log_scales + 0.3 * torch.randn(120, 3, generator=generator)
    for tensor in (scene.means, scene.quats, scene.log_scales):
        tensor.requires_grad_()
    term, memory = SurfaceAlignment(), {}  # type: ignore[var-annotated]
    adam = torch.optim.Adam([scene.means, scene.quats, scene.log_scales], 1e-2)

    @torch.no_grad()
    def state() -> tuple[float, float, float]:
        thin = scene.log_scales.argmin(-1)
        normals = quat_to_rotmat(scene.quats)[torch.arange(120), :, thin]
        ordered = scene.log_scales.sort(-1).values
        flat = float((ordered[:, 0] - ordered[:, 1]).mean())
        return float(normals[:, 2].abs().mean()), flat, float(scene.means[:, 2].abs().mean())

    before = state()
    for step in range(150):
        loss = term(view(scene, 0.2 + step / 300, memory))
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    after = state()
    assert after[0] > max(before[0] + 0.15, 0.85)
    assert after[1] < before[1] - 0.3 and after[2] < 0.9 * before[2]


def test_it_waits_and_remembers() -> None:
    scene = Gaussians.isotropic(torch.randn(40, 3), torch.zeros(40, 3), torch.full((40,), 0.1))
    memory: dict[str, Any] = {}
    assert SurfaceAlignment()(view(scene, 0.05, memory)) == 0 and memory == {}
    SurfaceAlignment()(view(scene, 0.5, memory))
    normals = memory["surface.normals"]
    SurfaceAlignment()(view(scene, 0.505, memory))
    assert memory["surface.normals"] is normals
    SurfaceAlignment()(view(scene, 0.6, memory))
    assert memory["surface.normals"] is not normals
