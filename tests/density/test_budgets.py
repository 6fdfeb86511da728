"""Strategies that look at training photos: Taming, Turbo, Complexity, Consistent."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from firstlight.density import Complexity, Consistent, Look, Taming, Turbo, Vanilla
from firstlight.density.consistent import _largest
from firstlight.density.strategy import occasions
from firstlight.density.taming import _score
from firstlight.render import render_camera
from firstlight.sampling import draw_distinct
from firstlight.scene import Cameras, Gaussians
from tests.density.fakes import FakeTrainable, context, meta, round_gaussians
from tests.scenes import ring

STEPS = 3000  # refinements are 50 apart


class Rendered:
    """Real renderings beside photos of a target scene."""

    def __init__(self, trainable: FakeTrainable, target: Gaussians, cameras: Cameras) -> None:
        self.trainable, self.cameras = trainable, cameras
        self.photos = [
            (render_camera(target, cameras.select([i]))[0].clamp(0, 1) * 255).byte()
            for i in range(len(cameras))
        ]
        self.masks: list[Tensor | None] = [None] * len(cameras)

    def __len__(self) -> int:
        return len(self.cameras)

    def look(self, place: int, keep: Tensor | None = None) -> Look:
        gaussians = self.trainable.gaussians.detach()
        if keep is not None:
            gaussians = replace(
                gaussians, logit_opacities=gaussians.logit_opacities.masked_fill(~keep, -30.0)
            )
        rendered, _, notes = render_camera(gaussians, self.cameras.select([place]))
        return Look(rendered, self.photos[place], self.masks[place], notes)


def scene(count: int, seed: int = 0) -> Gaussians:
    return round_gaussians(count, opacity=0.6, scale=0.1, seed=seed)


def run(strategy: Taming | Turbo | Consistent, count: int, steps: int = STEPS) -> list[int]:
    """Counts of Gaussians after each refinement of a fit in which every gradient is high."""
    trainable = FakeTrainable(scene(count))
    views = Rendered(trainable, scene(60, seed=1), ring(3))
    state, counts = strategy.initialize(count), []
    for step in range(1, steps + 1):
        n = len(trainable.gaussians)
        for tensor in trainable.gaussians:
            tensor.grad = torch.ones_like(tensor)
        strategy.observe(state, meta(torch.ones(1, n, 2)), trainable.gaussians)
        if strategy.refine(trainable, state, context(step, steps, extent=20.0, views=views)):
            counts.append(len(trainable.gaussians))
        assert len(trainable.gaussians) <= strategy.max_gaussians, step
    return counts


@pytest.mark.parametrize("budget", [45, 70, 133])
def test_taming_ends_with_exactly_its_budget(budget: int) -> None:
    strategy = Taming(max_gaussians=budget, views=2)
    counts = run(strategy, 40)
    assert counts[-1] == budget
    times = occasions(strategy.start, strategy.stop, strategy.every, STEPS)
    assert len(counts) == len(times)
    curve = [strategy.target(40, step, STEPS) for step in times]
    assert counts == curve and curve == sorted(curve)
    gains = [b - a for a, b in pairwise(curve)]
    assert gains[0] >= gains[-1], "the parabola rises fastest at its start"


@pytest.mark.parametrize("steps", [150, 500])
def test_taming_meets_its_budget_where_few_growths_must_do_it(steps: int) -> None:
    """Each growth then has to do more than to double."""
    strategy = Taming(max_gaussians=700, views=2)
    counts = run(strategy, 20, steps)
    assert counts == [strategy.target(20, step, steps) for step in occasions(500, 15_000, 500, steps)]
    assert counts[-1] == 700 and counts[0] > 3 * 20


def test_taming_puts_no_copies_on_copies() -> None:
    trainable = FakeTrainable(scene(10))
    views = Rendered(trainable, scene(60, seed=1), ring(3))
    strategy = Taming(max_gaussians=80, views=2)
    state = strategy.initialize(10)
    strategy.refine(trainable, state, context(occasions(500, 15_000, 500, STEPS)[-1], STEPS, views=views))
    copies = Counter(map(tuple, trainable.gaussians.detach().means.tolist()))
    assert copies.total() == 80 and max(copies.values()) <= 2


def test_taming_meets_its_budget_without_gradients_and_from_above() -> None:
    trainable = FakeTrainable(scene(50))
    views = Rendered(trainable, scene(60, seed=1), ring(3))
    last = occasions(500, 15_000, 500, STEPS)[-1]
    for budget in (64, 30):
        strategy = Taming(max_gaussians=budget, views=2)
        state = strategy.initialize(len(trainable.gaussians))
        strategy.refine(trainable, state, context(last, STEPS, extent=20.0, views=views))
        assert len(trainable.gaussians) == budget


def test_taming_prefers_what_does_more_for_the_picture() -> None:
    """Half of the Gaussians are right, half hide a wrong colour: these are drawn more often."""
    target = scene(80)
    target.sh[40:, 0] = -target.sh[40:, 0]
    trainable = FakeTrainable(scene(80))
    views = Rendered(trainable, target, ring(3))
    strategy = Taming(max_gaussians=1000)
    now = context(100, STEPS, views=views)
    score = strategy._scores(trainable.gaussians.detach(), torch.ones(80), now)
    assert score[40:].mean() > score[:40].mean() > 0


def test_taming_does_not_look_at_what_a_mask_ignores() -> None:
    trainable = FakeTrainable(scene(80))
    look = Rendered(trainable, scene(60, seed=1), ring(3)).look(0)
    mask = torch.full(look.photo.shape[:2], 255, dtype=torch.uint8)
    mask[:, 30:] = 0
    noise = torch.randint(256, look.photo.shape, generator=torch.Generator().manual_seed(0))
    other = torch.where(mask[..., None] > 0, look.photo, noise.byte())
    other[:, 30] = look.photo[:, 30]  # the gradient of what is kept reaches one pixel farther
    one, two = (
        _score(trainable.gaussians.detach(), torch.ones(80), look._replace(photo=photo, mask=mask))
        for photo in (look.photo, other)
    )
    assert one.max() > 0 and torch.equal(one, two)


def test_turbo_keeps_its_budget_and_waits_while_the_fit_improves() -> None:
    strategy = Turbo(max_gaussians=100, views=2)
    counts = run(strategy, 30)
    assert 30 < max(counts) <= 100
    patient = strategy.budget(30, 0.5, torch.tensor([0.1, 0.1, 0.9]))
    usual = strategy.budget(30, 0.5, torch.tensor([0.1, 0.1, 0.1]))
    stuck = strategy.budget(30, 0.5, torch.tensor([0.1, 0.1, 0.0]))
    assert patient < usual < stuck
    assert strategy.budget(30, 1.0, torch.zeros(0)) == 100


def test_turbo_prunes_what_no_picture_misses() -> None:
    hidden = scene(50)
    hidden.means[:30] += 100  # seen by no camera
    trainable = FakeTrainable(hidden)
    views = Rendered(trainable, hidden, ring(3))
    strategy = Turbo()
    state = strategy.initialize(50)
    state["worth"] = torch.arange(50.0)
    strategy.refine(trainable, state, context(STEPS, STEPS, views=views))
    assert 20 <= len(trainable.gaussians) <= 25 and not state


def test_complexity_lowers_thresholds_where_pictures_are_wrong() -> None:
    target = scene(200)
    right = target.means[:, 0] > 0
    trainable = FakeTrainable(target)
    wrong = target.clone()
    wrong.sh[right, 0] = -wrong.sh[right, 0]
    views = Rendered(trainable, wrong, ring(4))
    grows, goes = Complexity(cells=3).thresholds(trainable.gaussians.detach(), context(1, views=views))
    assert grows[right].mean() < grows[~right].mean() and goes[right].mean() < goes[~right].mean()
    assert grows.min() >= 1e-4 and grows.max() <= 4e-4
    assert (Vanilla().thresholds(target, context(1))[0] == 2e-4).all()


def test_the_worst_pixels_are_of_those_that_count() -> None:
    trainable = FakeTrainable(scene(80))
    look = Rendered(trainable, scene(60, seed=1), ring(3)).look(0)
    look = look._replace(rendered=torch.rand(look.rendered.shape, generator=torch.Generator().manual_seed(0)))
    assert _largest(look, 0.2).mean() == pytest.approx(0.2, abs=0.001)
    mask = torch.zeros(look.photo.shape[:2], dtype=torch.uint8)
    mask[:, :5] = 255
    worst = _largest(look._replace(mask=mask), 0.2)
    assert worst[:, :5].mean() == pytest.approx(0.2, abs=0.005) and not worst[:, 5:].any()
    assert not _largest(look._replace(mask=torch.zeros_like(mask)), 0.2).any()


def test_pixels_that_are_ignored_do_not_make_a_picture_better() -> None:
    look = Look(torch.full((4, 6, 3), 0.5), torch.zeros(4, 6, 3, dtype=torch.uint8), None, {})
    mask = torch.zeros(4, 6, dtype=torch.uint8)
    assert look._replace(mask=mask).mean_error == 0
    mask[:, :2] = 255
    assert look.mean_error == look._replace(mask=mask).mean_error == 0.5


def test_consistent_drops_what_is_hidden_and_keeps_its_budget() -> None:
    outer, inner = scene(60), scene(20, seed=3)
    outer.means = 0.9 * torch.nn.functional.normalize(outer.means, dim=-1)
    outer.logit_opacities[:] = 6.0
    outer.log_scales[:] = -1.0
    inner.means *= 0.02
    trainable = FakeTrainable(outer.append(inner))
    views = Rendered(trainable, outer, ring(6))
    strategy = Consistent(max_gaussians=90)
    strategy.refine(trainable, strategy.initialize(80), context(100, STEPS, views=views))
    left = trainable.gaussians.means.detach().norm(dim=-1)
    assert (left < 0.3).sum() < 5 and (left > 0.5).sum() > 40
    assert max(run(Consistent(max_gaussians=50, wrong_pixels=0.0, needed=0.0), 30)) == 50


def test_draws_without_replacement_follow_their_weights() -> None:
    weights = torch.tensor([0.0, 1.0, 2.0, 5.0])
    generator = torch.Generator().manual_seed(0)
    first = torch.stack([draw_distinct(weights, 1, generator) for _ in range(4000)]).flatten()
    shares = torch.bincount(first, minlength=4) / 4000
    assert torch.allclose(shares, weights / 8, atol=0.03)
    assert sorted(draw_distinct(weights, 9, generator).tolist()) == [1, 2, 3]


@pytest.mark.parametrize("strategy", [Vanilla(), Complexity(), Taming(), Turbo(), Consistent()])
def test_growth_that_has_ended_does_not_begin_again_in_a_longer_fit(
    strategy: Vanilla | Taming | Turbo | Consistent,
) -> None:
    trainable = FakeTrainable(scene(40))
    views, state = Rendered(trainable, scene(40), ring(3)), strategy.initialize(40)
    strategy.refine(trainable, state, context(STEPS // 2, STEPS, views=views))
    left = len(trainable.gaussians)
    later = occasions(strategy.start, strategy.stop, strategy.every, 2 * STEPS)[-1]
    assert later > STEPS // 2
    assert strategy.refine(trainable, state, context(later, 2 * STEPS, views=views)) is None
    assert len(trainable.gaussians) == left


def test_turbo_prunes_beside_a_photo_that_is_ignored_wholly() -> None:
    hidden = scene(50)
    hidden.means[:30] += 100  # seen by no camera
    trainable = FakeTrainable(hidden)
    views = Rendered(trainable, hidden, ring(3))
    views.masks[1] = torch.zeros(views.photos[1].shape[:2], dtype=torch.uint8)
    strategy = Turbo()
    state = strategy.initialize(50)
    state["worth"] = torch.arange(50.0)
    strategy.refine(trainable, state, context(STEPS, STEPS, views=views))
    assert 20 <= len(trainable.gaussians) <= 25
