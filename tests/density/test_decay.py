"""Opacity that has to be earned."""

import torch

from firstlight.density import Decaying, Fixed, Vanilla
from tests.density.fakes import FakeTrainable, context, meta, round_gaussians

SEEN = torch.tensor([[True, False, True, False, True]])


def test_what_the_step_saw_fades_and_keeps_its_moments() -> None:
    scene, strategy = round_gaussians(5, opacity=0.5), Decaying(Fixed(), factor=0.9)
    trainable, state = FakeTrainable(scene), strategy.initialize(5)
    strategy.observe(state, meta(torch.zeros(1, 5, 2), SEEN), scene)
    strategy.refine(trainable, state, context(100))
    expected = torch.where(SEEN[0], 0.45, 0.5)
    torch.testing.assert_close(trainable.gaussians.opacities.detach(), expected)
    assert (trainable.moments["logit_opacities"] > 0).all() and state == {}


def test_the_last_steps_fade_nothing_and_the_faint_stay_finite() -> None:
    scene, strategy = round_gaussians(5, opacity=1e-30), Decaying(Fixed(), factor=0.5)
    trainable, state = FakeTrainable(scene), strategy.initialize(5)
    strategy.observe(state, meta(torch.zeros(1, 5, 2), SEEN), scene)
    strategy.refine(trainable, state, context(29_000))
    assert torch.equal(trainable.gaussians.logit_opacities, scene.logit_opacities)
    strategy.observe(state, meta(torch.zeros(1, 5, 2), SEEN), scene)
    strategy.refine(trainable, state, context(100))
    assert trainable.gaussians.logit_opacities.isfinite().all()


def test_the_inner_strategy_goes_on_as_ever() -> None:
    inner = Vanilla(max_gaussians=70)
    strategy = Decaying(inner)
    assert strategy.limited(9).inner == inner.limited(9)
    trainable, state = FakeTrainable(round_gaussians(50)), strategy.initialize(50)
    gradient = torch.full((1, 50, 2), 1.0)
    strategy.observe(state, meta(gradient), trainable.gaussians)
    words = strategy.refine(trainable, state, context(600))
    assert words is not None and len(trainable.gaussians) == 70
    assert {len(rows) for rows in state.values()} == {70}
    assert float(trainable.gaussians.opacities.detach().max()) < 0.4999
