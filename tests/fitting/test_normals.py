"""Normals of depth against normals of Gaussians, and of known depth."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from firstlight.fitting import DepthNormals, NormalTeacher, View
from firstlight.render import depth_to_normal
from firstlight.scene import Gaussians
from tests.fitting.sheets import CAMERA, seen, sheet, view_of


def flat(tilt: float) -> Gaussians:
    """The sheet of discs, all turned out of its plane by ``tilt`` radians."""
    scene = sheet()
    scene.log_scales = scene.log_scales + torch.tensor([0.0, 0.0, -3.0])
    half = torch.tensor(tilt / 2)
    scene.quats = torch.stack([half.cos(), half.sin(), torch.zeros(()), torch.zeros(())]).repeat(
        len(scene), 1
    )
    return scene


def photo_of(scene: Gaussians) -> Tensor:
    return (255 * seen(scene, CAMERA).rgb.clamp(0, 1)).round().byte()


def test_discs_in_their_surface_cost_less_than_turned_ones() -> None:
    term, costs = DepthNormals(1.0), []
    for tilt in (0.0, 0.5, 1.0):
        scene = flat(tilt)
        scene.quats.requires_grad_()
        loss = term(view_of(scene, photo_of(scene), None))
        loss.backward()  # type: ignore[no-untyped-call]
        assert scene.quats.grad is not None and scene.quats.grad.isfinite().all()
        costs.append(float(loss.detach()))
    assert costs[0] < 0.5 * costs[1] < 0.5 * costs[2]
    view = view_of(flat(0.5), photo_of(flat(0.5)), None)
    assert term(replace(view, fraction=0.1)) == 0
    assert term(replace(view, mask=torch.zeros(view.alpha.shape, dtype=torch.uint8))) == 0


def with_known(known: Tensor | None) -> View:
    return replace(view_of(sheet(), photo_of(sheet()), None), measured_depth=known)


def test_a_tilted_teacher_costs_what_the_angle_says() -> None:
    depth = seen(sheet(), CAMERA).depth
    assert float(NormalTeacher(1.0, 1.0)(with_known(depth))) < 1e-6
    slope = 1 + 0.2 * torch.linspace(-1, 1, depth.shape[1])
    tilted = with_known(depth * slope)
    camtoworld = torch.linalg.inv(CAMERA.viewmats[0])
    own, known = (depth_to_normal(d[..., None], camtoworld, CAMERA.Ks[0]) for d in (depth, depth * slope))
    middle = own.shape[0] // 2, own.shape[1] // 2
    expected = 1 - (own[middle] * known[middle]).sum()
    found = NormalTeacher(0.0, 1.0)(tilted)
    assert expected > 0.005
    assert 0.4 * expected < found < 2.5 * expected
    assert NormalTeacher()(with_known(torch.zeros_like(depth))) == 0
    assert NormalTeacher()(with_known(None)) == 0
