"""Relocation, growth and noise of 3DGS-MCMC, against the paper's formulas written out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from torch import Tensor

from firstlight.density import Mcmc
from firstlight.density._langevin import displaced
from firstlight.density._sharing import MAX_COPIES, share
from firstlight.render import rasterization
from firstlight.scene import Gaussians
from tests.density.fakes import FakeTrainable, context, logit, meta, refined_at, round_gaussians
from tests.scenes import random_gaussians

QUIETLY = Mcmc(noise=0.0)


def test_two_copies_of_a_half() -> None:
    opacity, factor = share(torch.tensor([0.5]), torch.tensor([2]))
    assert opacity.item() == pytest.approx(0.2929, abs=5e-5)
    assert factor.item() == pytest.approx(0.952, abs=5e-4)


def test_one_copy_is_the_gaussian_itself() -> None:
    opacity, factor = share(torch.tensor([0.3]), torch.tensor([1]))
    assert opacity.item() == pytest.approx(0.3)
    assert factor.item() == pytest.approx(1)


@pytest.mark.parametrize("whole", [0.006, 0.3, 0.9, 0.999, 1 - 1e-6])
@pytest.mark.parametrize("n", [2, 5, 17, MAX_COPIES])
def test_the_sum_is_that_of_the_paper(whole: float, n: int) -> None:
    opacity, factor = share(torch.tensor([whole], dtype=torch.float64), torch.tensor([n]))
    part = 1 - (1 - whole) ** (1 / n)
    double_sum = math.fsum(
        math.comb(i - 1, k) * (-1) ** k * part ** (k + 1) / math.sqrt(k + 1)
        for i in range(1, n + 1)
        for k in range(i)
    )
    assert opacity.item() == pytest.approx(part, rel=1e-9)
    assert factor.item() == pytest.approx(whole / double_sum, rel=1e-6)


@pytest.mark.parametrize("whole", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_copies_blend_to_the_same_amount_along_a_line(whole: float, n: int) -> None:
    """What the formula is derived from: the integral of the blended opacity does not change."""
    opacity, factor = (value.item() for value in share(torch.tensor([whole]), torch.tensor([n])))

    def blended(x: float) -> float:
        return float(1 - (1 - opacity * np.exp(-0.5 * (x / factor) ** 2)) ** n)

    total, _ = quad(blended, -10, 10, epsabs=1e-10)
    assert total == pytest.approx(whole * math.sqrt(2 * math.pi), rel=1e-5)


def picture(scene: Gaussians) -> Tensor:
    K = torch.tensor([[60.0, 0, 24], [0, 60, 24], [0, 0, 1]])
    means, scales, opacities, degree = scene.means, scene.scales, scene.opacities, scene.degree
    colors, _, _ = rasterization(
        means, scene.quats, scales, opacities, scene.sh, torch.eye(4)[None], K[None], 48, 48, sh_degree=degree
    )
    return colors[0]


@pytest.mark.parametrize(("opacity", "copies"), [(0.5, 2), (0.9, 2), (0.9, 4), (0.2, 6)])
def test_relocated_copies_look_more_like_the_source_than_plain_ones(opacity: float, copies: int) -> None:
    one = round_gaussians(1, opacity)
    one.means[:] = torch.tensor([0.1, -0.1, 2.0])
    one.log_scales[:] = torch.tensor([0.2, 0.1, 0.3]).log()
    plain = one.select(torch.zeros(copies, dtype=torch.long))
    faint = one.select(torch.zeros(copies - 1, dtype=torch.long))
    faint.logit_opacities = torch.full_like(faint.logit_opacities, -10.0)
    faint.means = faint.means + 5
    trainable = FakeTrainable(one.append(faint))
    QUIETLY.refine(trainable, {}, context(600))
    moved = trainable.gaussians.detach().select(torch.arange(copies))
    wanted = picture(one)
    error = (picture(moved) - wanted).square().mean().sqrt()
    naive = (picture(plain) - wanted).square().mean().sqrt()
    assert wanted.std() > 0.01
    assert error < 0.5 * naive


def test_the_dead_move_to_the_living() -> None:
    scene = random_gaussians(6, degree=1)
    scene.logit_opacities = torch.tensor([logit(0.004), 1.0, logit(0.005) - 1e-4, 2.0, -1.0, 0.0])
    trainable = FakeTrainable(scene)
    strategy = Mcmc(noise=0.0, max_gaussians=6)
    assert strategy.refine(trainable, {}, context(600)) == "+0, 2 moved"
    after = trainable.gaussians.detach()
    sources = [int((scene.means == after.means[dead]).all(1).nonzero()) for dead in (0, 2)]
    assert not {0, 2} & set(sources)
    for dead, source in zip((0, 2), sources, strict=True):
        for tensor in after:
            assert torch.equal(tensor[dead], tensor[source])
        opacity, factor = share(scene.opacities[[source]], torch.tensor([sources.count(source) + 1]))
        torch.testing.assert_close(after.opacities[source], opacity[0].float())
        torch.testing.assert_close(after.scales[source], scene.scales[source] * factor[0].float())
    touched = {0, 2, *sources}
    for name, moments in trainable.moments.items():
        assert moments.tolist() == [0 if row in touched else row + 1 for row in range(6)]
        untouched = [row for row in range(6) if row not in touched]
        assert torch.equal(after.tensors()[name][untouched], scene.tensors()[name][untouched])


def test_sources_are_drawn_as_likely_as_they_are_opaque() -> None:
    scene = round_gaussians(20_003)
    scene.logit_opacities[:] = -10
    scene.logit_opacities[:3] = torch.tensor([logit(0.2), logit(0.6), logit(0.1)])
    trainable = FakeTrainable(scene)
    QUIETLY.refine(trainable, {}, context(600))
    means = trainable.gaussians.detach().means[3:20_003]
    share_of = [float((means == scene.means[row]).all(1).float().mean()) for row in range(3)]
    assert share_of == pytest.approx([0.2 / 0.9, 0.6 / 0.9, 0.1 / 0.9], abs=0.02)


def test_where_all_are_dead_nothing_moves() -> None:
    scene = round_gaussians(4, opacity=0.001)
    trainable = FakeTrainable(scene)
    Mcmc(noise=0.0, max_gaussians=4).refine(trainable, {}, context(600))
    assert torch.equal(trainable.gaussians.means, scene.means)


def test_growth_is_five_percent_to_exactly_the_cap() -> None:
    trainable = FakeTrainable(round_gaussians(200))
    strategy = Mcmc(noise=0.0, max_gaussians=237)
    counts = []
    for step in (600, 700, 800, 900, 1000):
        strategy.refine(trainable, {}, context(step, seed=step))
        counts.append(len(trainable.gaussians))
    assert counts == [210, 220, 231, 237, 237]
    assert {len(moments) for moments in trainable.moments.values()} == {237}


def test_new_ones_are_shares_of_their_parents_and_come_last() -> None:
    scene = random_gaussians(40)
    trainable = FakeTrainable(scene)
    QUIETLY.refine(trainable, {}, context(600))
    after = trainable.gaussians.detach()
    assert len(after) == 42
    for new in (40, 41):
        source = int((scene.means == after.means[new]).all(1).nonzero())
        assert torch.equal(after.log_scales[new], after.log_scales[source])
        assert torch.equal(after.logit_opacities[new], after.logit_opacities[source])
        assert after.opacities[new] < scene.opacities[source]
        assert all(moments[source] == 0 and moments[new] == 0 for moments in trainable.moments.values())
    assert torch.equal(after.means[:40], scene.means)


def test_a_start_of_few_still_grows_and_one_above_the_cap_does_not() -> None:
    few, many = FakeTrainable(round_gaussians(2)), FakeTrainable(round_gaussians(30))
    assert QUIETLY.refine(few, {}, context(600)) == "+1, 0 moved"
    assert Mcmc(noise=0.0, max_gaussians=20).refine(many, {}, context(600)) == "+0, 0 moved"
    assert (len(few.gaussians), len(many.gaussians)) == (3, 30)


def test_schedule_of_the_paper_and_a_short_one() -> None:
    strategy = Mcmc(noise=0.0, max_gaussians=3)
    assert refined_at(strategy, 30_000, "moved") == list(range(600, 25_000, 100))
    assert refined_at(strategy, 3000, "moved") == list(range(100, 2500, 50))


@pytest.mark.parametrize("steps", [30_000, 6000, 3000])
def test_growth_keeps_its_pace_in_shorter_fits(steps: int) -> None:
    trainable = FakeTrainable(round_gaussians(1000))
    strategy = Mcmc(noise=0.0, max_gaussians=10**6)
    for step in range(50, steps // 10 + 1, 50):
        strategy.refine(trainable, {}, context(step, steps, seed=step))
    expected = 1000 * 1.05**25  # 25 refinements of the paper in the first tenth of its steps
    assert expected / 1.4 < len(trainable.gaussians) < expected * 1.4


def test_noise_has_the_shape_of_each_gaussian_times_itself() -> None:
    count = 40_000
    scene = random_gaussians(1).select(torch.zeros(count, dtype=torch.long))
    scene.logit_opacities[:] = logit(0.005)  # where the fading stands at a half
    trainable = FakeTrainable(scene)
    Mcmc().refine(trainable, {}, context(7, means_rate=2e-6))
    shift = trainable.gaussians.detach().means - scene.means
    strength = 2e-6 * 5e5 * 0.5
    covariance = scene.covariances[0]
    expected = strength**2 * covariance @ covariance
    found = shift.T.cov()
    assert float((found - expected).norm() / expected.norm()) < 0.03
    assert (shift.mean(0).abs() < 5 * expected.diagonal().sqrt() / count**0.5).all()
    assert trainable.moments["means"].tolist()[:3] == [1, 2, 3]


def test_noise_knows_no_unit() -> None:
    scene, moved = round_gaussians(30, opacity=0.01, scale=0.1), []
    for unit in (1.0, 1000.0):
        larger = replace(scene, means=unit * scene.means, log_scales=scene.log_scales + math.log(unit))
        trainable = FakeTrainable(larger)
        Mcmc().refine(trainable, {}, context(7, extent=4 * unit, means_rate=4e-6 * unit))
        moved.append((trainable.gaussians.means.detach() - larger.means) / unit)
    assert moved[0].norm(dim=-1).median() > 1e-3
    torch.testing.assert_close(moved[1], moved[0], rtol=1e-3, atol=1e-5)


def test_noise_fades_with_opacity() -> None:
    count = 5000
    shifts = []
    for opacity in (0.001, 0.05, 0.149, 0.151):
        scene = round_gaussians(count, opacity, scale=0.1)
        trainable = FakeTrainable(scene)
        Mcmc().refine(trainable, {}, context(7))
        shifts.append(float((trainable.gaussians.detach().means - scene.means).std()))
    full = 1.6e-4 * 5e5 * 0.1**2
    fading = [1 / (1 + math.exp(100 * (opacity - 0.005))) for opacity in (0.001, 0.05)]
    assert shifts[:2] == pytest.approx([full * f for f in fading], rel=0.05)
    assert shifts[2] < 1e-6 * full
    assert shifts[3] == 0


def test_displacement_is_the_covariance_times_the_push() -> None:
    scene = random_gaussians(500)
    rows = torch.randperm(500)[:120]
    push = torch.randn(120, 3)
    exact = scene.to(torch.float64).select(rows)
    expected = exact.means + (exact.covariances @ push.double()[:, :, None]).squeeze(-1)
    torch.testing.assert_close(
        displaced(scene.means, scene.quats, scene.log_scales, rows, push).double(),
        expected,
        rtol=1e-4,
        atol=1e-5,
    )


def test_same_seed_same_result() -> None:
    scene = random_gaussians(200)
    scene.logit_opacities -= 2
    results = []
    for seed in (1, 1, 2):
        trainable = FakeTrainable(scene)
        Mcmc().refine(trainable, {}, context(600, seed=seed))
        results.append(trainable.gaussians.detach())
    assert all(torch.equal(x, y) for x, y in zip(results[0], results[1], strict=True))
    assert not torch.equal(results[0].means, results[2].means)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 50), cap=st.integers(1, 60))
def test_count_never_passes_the_cap_and_all_stays_finite(seed: int, count: int, cap: int) -> None:
    scene = random_gaussians(count, degree=1, seed=seed)
    scene.logit_opacities = scene.logit_opacities * 8  # many dead, many opaque to the last bit
    trainable = FakeTrainable(scene)
    for step in (600, 700, 701):
        Mcmc(max_gaussians=cap).refine(trainable, {}, context(step, seed=seed))
    after = trainable.gaussians.detach()
    assert count <= len(after) <= max(cap, count)
    assert {len(moments) for moments in trainable.moments.values()} == {len(after)}
    assert after.finite().all()
    if (scene.opacities > 0.005).any():
        assert (after.opacities >= 0.0049).all()


def test_it_keeps_no_state_and_watches_nothing() -> None:
    state = Mcmc().initialize(3)
    Mcmc().observe(state, meta(torch.ones(1, 3, 2)), round_gaussians(3))
    assert state == {}
