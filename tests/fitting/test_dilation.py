"""Dilated pictures are the full-size picture's own pixels."""

from __future__ import annotations

import torch

from firstlight.fitting._dilation import Lattice
from firstlight.fitting._dropout import dropped, without
from firstlight.render import BLUR, render_camera
from tests.scenes import random_gaussians, ring


def test_a_lattice_shows_every_second_pixel_of_the_picture() -> None:
    scene = random_gaussians(60)
    scene.log_scales -= 0.5
    camera = ring(1).select([0])
    full, _, _ = render_camera(scene, camera)
    generator = torch.Generator().manual_seed(0)
    offsets = set()
    for _ in range(12):
        lattice = Lattice(2, generator)
        offsets.add((lattice.x0, lattice.y0))
        sparse, _, _ = render_camera(scene, lattice.of_camera(camera), blur=BLUR / 4)
        wanted = lattice.of_picture(full)
        assert sparse.shape == wanted.shape
        # Tiles end a pixel at 1e-4 of its light, and splats end at 1/255: neither depends on the lattice.
        assert (sparse - wanted).abs().max() < 2e-3
    assert len(offsets) == 4


def test_dropout_leaves_out_its_share_and_raises_the_rest() -> None:
    scene = random_gaussians(4000)
    scene.logit_opacities.requires_grad_()
    thin = dropped(scene, 0.25, torch.Generator().manual_seed(1))
    gone = thin.opacities < 1e-9
    assert abs(gone.float().mean() - 0.25) < 0.03
    expected = (scene.opacities / 0.75).clamp(max=1 - 1e-6)
    assert torch.allclose(thin.opacities[~gone], expected[~gone], atol=1e-5)
    (gradient,) = torch.autograd.grad(thin.opacities.sum(), scene.logit_opacities)
    assert (gradient[gone] == 0).all() and (gradient[~gone] > 0).any()
    assert (without(scene, gone).opacities[gone] < 1e-9).all()
