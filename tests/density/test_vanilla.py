"""Adaptive density control, against the description in the paper."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from firstlight.density import State, Vanilla
from firstlight.scene import Gaussians
from tests.density.fakes import FakeTrainable, context, logit, meta, refined_at, round_gaussians

SMALL, LARGE = 0.005, 0.05  # either side of a hundredth of the extent


def refined(
    scene: Gaussians, gradient: Tensor, strategy: Vanilla, step: int = 600, seed: int = 0
) -> tuple[FakeTrainable, State, str | None]:
    """After one refinement, with mean NDC gradients [N]."""
    trainable = FakeTrainable(scene)
    state = {"gradient": gradient * 4, "seen": torch.full((len(scene),), 4.0)}
    words = strategy.refine(trainable, state, context(step, seed=seed))
    return trainable, state, words


def test_gradients_are_means_over_the_views_that_see_a_gaussian_in_ndc_units() -> None:
    strategy = Vanilla()
    state = strategy.initialize(3)
    gradient = torch.tensor([[[3e-4, 0.0], [0.0, 2e-4], [1.0, 1.0]]])
    strategy.observe(
        state, meta(gradient, torch.tensor([[True, True, False]]), width=200, height=100), round_gaussians(3)
    )
    strategy.observe(
        state,
        meta(gradient * 3, torch.tensor([[True, False, False]]), width=200, height=100),
        round_gaussians(3),
    )
    mean = state["gradient"] / state["seen"]
    assert mean[0].item() == pytest.approx((3e-4 + 9e-4) / 2 * 100)
    assert mean[1].item() == pytest.approx(2e-4 * 50)
    assert state["seen"].tolist() == [2, 1, 0]
    assert state["gradient"][2] == 0


def test_a_batch_of_two_views_counts_as_two_single_ones() -> None:
    strategy, gradient = Vanilla(), torch.rand(2, 5, 2)
    one_by_one, batch = strategy.initialize(5), strategy.initialize(5)
    for view in gradient:
        strategy.observe(one_by_one, meta(view[None]), round_gaussians(3))
    strategy.observe(batch, meta(gradient / 2), round_gaussians(3))  # the loss of a batch is a mean
    torch.testing.assert_close(one_by_one, batch)


def test_a_picture_without_gaussians_changes_nothing() -> None:
    strategy = Vanilla()
    state = strategy.initialize(2)
    empty = meta(torch.ones(1, 2, 2))
    empty["means2d"].grad = None
    strategy.observe(state, empty, round_gaussians(3))
    assert not state["seen"].any()


def test_small_ones_are_cloned_and_large_ones_split() -> None:
    scene = round_gaussians(4)
    scene.log_scales[1:3] = math.log(LARGE)
    gradient = torch.tensor([2.1e-4, 2.1e-4, 1.9e-4, 1.9e-4])
    trainable, state, words = refined(scene, gradient, Vanilla())
    after = trainable.gaussians.detach()
    assert words == "+2 −0"
    assert len(after) == 6
    # Rows 0, 2, 3 stay with their moments; then the clone of 0; then the two halves of 1.
    for name, tensor in after.tensors().items():
        torch.testing.assert_close(tensor[:4], scene.tensors()[name][[0, 2, 3, 0]], rtol=0, atol=0)
        assert trainable.moments[name].tolist() == [1, 3, 4, 0, 0, 0]
    torch.testing.assert_close(after.scales[4:], torch.full((2, 3), LARGE / 1.6))
    for name in ("quats", "logit_opacities", "sh"):
        torch.testing.assert_close(after.tensors()[name][4:], scene.tensors()[name][[1, 1]])
    assert (after.means[4] != after.means[5]).all()
    assert state["gradient"].tolist() == [0] * 6 and state["seen"].tolist() == [0] * 6


def test_halves_are_drawn_from_their_parent() -> None:
    count = 20_000
    scene = round_gaussians(1, scale=LARGE).select(torch.zeros(count, dtype=torch.long))
    scene.log_scales = torch.tensor([0.02, 0.05, 0.3]).log().repeat(count, 1)
    scene.means = torch.tensor([1.0, 2.0, 3.0]).repeat(count, 1)
    trainable, _, _ = refined(scene, torch.ones(count), Vanilla(max_gaussians=2 * count))
    means = trainable.gaussians.detach().means
    assert len(means) == 2 * count
    torch.testing.assert_close(means.mean(0), scene.means[0], rtol=0, atol=0.01)
    torch.testing.assert_close(means.T.cov(), scene.covariances[0], rtol=0, atol=0.002)


def test_faint_ones_go_even_where_the_gradient_is_high() -> None:
    scene = round_gaussians(4)
    scene.logit_opacities[:2] = torch.tensor([logit(0.0049), logit(0.0051)])
    trainable, _, words = refined(scene, torch.tensor([1.0, 0.0, 0.0, 0.0]), Vanilla())
    assert words == "+0 −1"
    assert trainable.moments["means"].tolist() == [2, 3, 4]


def test_giants_go_after_the_first_reset_unless_splitting_makes_them_small_enough() -> None:
    scene = round_gaussians(5)
    scene.log_scales[:, 1] = torch.tensor([0.05, 0.11, 0.11, 0.15, 0.17]).log()
    gradient = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0])
    early, _, _ = refined(scene, gradient, Vanilla(), step=2900)
    assert early.moments["means"].tolist() == [1, 2, 0, 0, 0, 0, 0, 0]
    late, _, words = refined(scene, gradient, Vanilla(), step=3100)
    assert late.moments["means"].tolist() == [1, 0, 0, 0, 0]
    assert words == "+2 −2"
    assert late.gaussians.scales.max() < 0.1


def test_sizes_are_relative_to_the_extent() -> None:
    scene = round_gaussians(1, scale=LARGE)
    for extent, rows in ((1.0, [0.0, 0.0]), (10.0, [1.0, 0.0])):  # split, then cloned
        trainable = FakeTrainable(scene)
        state = {"gradient": torch.ones(1), "seen": torch.ones(1)}
        Vanilla().refine(trainable, state, context(600, extent=extent))
        assert trainable.moments["means"].tolist() == rows


def test_a_scene_is_never_emptied() -> None:
    trainable, _, _ = refined(round_gaussians(3, opacity=0.001), torch.zeros(3), Vanilla())
    assert len(trainable.gaussians) == 3


def test_the_largest_gradients_use_up_the_budget() -> None:
    scene = round_gaussians(6)
    scene.logit_opacities[5] = -10  # faint: makes room for one more
    gradient = torch.tensor([3.0, 5.0, 1.0, 4.0, 2.0, 9.0])
    trainable, _, words = refined(scene, gradient, Vanilla(max_gaussians=7))
    assert words == "+2 −1"
    assert len(trainable.gaussians) == 7
    torch.testing.assert_close(trainable.gaussians.detach().means[5:], scene.means[[1, 3]])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 60), budget=st.integers(1, 80))
def test_count_and_moments_add_up(seed: int, count: int, budget: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scene = round_gaussians(count, seed=seed)
    scene.log_scales = torch.randn(count, 3, generator=generator) * 1.5 - 4
    scene.logit_opacities = torch.randn(count, generator=generator) * 4
    gradient = torch.rand(count, generator=generator) * 4e-4
    trainable, state, words = refined(scene, gradient, Vanilla(max_gaussians=budget), step=6100, seed=seed)
    added, gone = (int(word[1:]) for word in (words or "").split())
    after = trainable.gaussians.detach()
    assert len(after) == count + added - gone
    assert len(after) <= max(budget, count - gone)
    wanted = int((gradient >= 2e-4).sum())
    if added < wanted and gone == 0:
        assert len(after) == max(budget, count)
    assert {len(m) for m in trainable.moments.values()} == {len(s) for s in state.values()} == {len(after)}
    kept = trainable.moments["means"]
    kept = kept[kept > 0].long() - 1
    assert (kept.diff() > 0).all()
    torch.testing.assert_close(after.means[: len(kept)], scene.means[kept], rtol=0, atol=0)
    assert after.finite().all()


def test_same_seed_same_result() -> None:
    scene = round_gaussians(50, scale=LARGE)
    gradient = torch.rand(50) * 4e-4
    a, b, c = (refined(scene, gradient, Vanilla(), seed=s)[0].gaussians.detach() for s in (1, 1, 2))
    assert torch.equal(a.means, b.means)
    assert not torch.equal(a.means, c.means)


def test_equal_gradients_are_chosen_alike() -> None:
    scene = round_gaussians(100)
    a, b = (refined(scene, torch.ones(100), Vanilla(max_gaussians=130))[0] for _ in range(2))
    assert torch.equal(a.gaussians.means, b.gaussians.means)


def test_schedule_of_the_paper() -> None:
    assert refined_at(Vanilla(), 30_000, "−") == list(range(600, 15_000, 100))
    assert refined_at(Vanilla(), 30_000, "reset") == [3000, 6000, 9000, 12_000]
    assert refined_at(Vanilla(), 30_000, "reset", white_background=True)[:2] == [500, 3000]


def test_short_schedules_keep_their_distances() -> None:
    assert refined_at(Vanilla(), 3000, "−") == list(range(100, 1500, 50))
    assert refined_at(Vanilla(), 3000, "reset") == [1000]
    assert refined_at(Vanilla(), 2000, "reset", white_background=True) == []
    assert refined_at(Vanilla(), 100, "−") == []


def test_a_reset_lowers_opacities_and_forgets_only_their_moments() -> None:
    scene = round_gaussians(3)
    scene.logit_opacities[:] = torch.tensor([3.0, logit(0.02), logit(0.008)])
    trainable = FakeTrainable(scene)
    words = Vanilla(start=4000).refine(trainable, Vanilla().initialize(3), context(3000))
    assert words == "opacities reset"
    torch.testing.assert_close(trainable.gaussians.opacities.detach(), torch.tensor([0.01, 0.01, 0.008]))
    assert trainable.moments.pop("logit_opacities").tolist() == [0, 0, 0]
    assert all(moments.tolist() == [1, 2, 3] for moments in trainable.moments.values())


def test_nothing_is_done_or_kept_after_growth() -> None:
    strategy, trainable = Vanilla(), FakeTrainable(round_gaussians(3))
    state = strategy.initialize(3)
    assert strategy.refine(trainable, state, context(15_000)) is None
    assert state == {}
    strategy.observe(state, meta(torch.ones(1, 3, 2)), round_gaussians(3))
    assert strategy.refine(trainable, state, context(18_000)) is None
    assert state == {} and len(trainable.gaussians) == 3
