"""No density control."""

import torch

from firstlight.density import Fixed
from tests.density.fakes import FakeTrainable, context, meta, round_gaussians


def test_it_does_nothing() -> None:
    scene = round_gaussians(5, opacity=0.001)
    trainable = FakeTrainable(scene)
    state = Fixed().initialize(5)
    Fixed().observe(state, meta(torch.ones(1, 5, 2)), round_gaussians(3))
    assert [Fixed().refine(trainable, state, context(step)) for step in (1, 600, 3000)] == [None] * 3
    assert state == {}
    assert all(torch.equal(a, b) for a, b in zip(trainable.gaussians, scene, strict=True))
