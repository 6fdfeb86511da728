"""gsplat's two strategies: when they act, on what, and that a loop written for gsplat runs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from firstlight import DefaultStrategy, MCMCStrategy, rasterization
from firstlight.density.gsplat import Strategy, ops
from tests.density.gsplat_params import made, notes, packed, stepped


def seen(count: int, images: int = 1) -> Tensor:
    return torch.full((images, count, 2), 3, dtype=torch.int32)


def refined(
    strategy: DefaultStrategy, params: Any, optimizers: Any, gradient: Tensor, step: int = 600
) -> Any:
    """One step with NDC gradients of these lengths [N]; returns the state."""
    state = strategy.initialize_state(scene_scale=1.0)
    pixels = torch.stack([gradient / 100, torch.zeros_like(gradient)], -1)[None]
    strategy.step_post_backward(params, optimizers, state, step, notes(pixels, seen(len(gradient))))
    return state


def test_settings_are_those_of_gsplat() -> None:
    settings = {field.name: field.default for field in fields(DefaultStrategy)}
    assert settings == {
        "prune_opa": 0.005, "grow_grad2d": 0.0002, "grow_scale3d": 0.01, "grow_scale2d": 0.05,
        "prune_scale3d": 0.1, "prune_scale2d": 0.15, "refine_scale2d_stop_iter": 0, "refine_start_iter": 500,
        "refine_stop_iter": 15_000, "reset_every": 3000, "refine_every": 100, "pause_refine_after_reset": 0,
        "absgrad": False, "revised_opacity": False, "verbose": False, "key_for_gradient": "means2d",
    }  # fmt: skip
    first = [(field.name, field.default) for field in fields(MCMCStrategy)][:7]
    assert first == [
        ("cap_max", 1_000_000), ("noise_lr", 5e5), ("refine_start_iter", 500), ("refine_stop_iter", 25_000),
        ("refine_every", 100), ("min_opacity", 0.005), ("verbose", False),
    ]  # fmt: skip


@pytest.mark.parametrize("strategy", [DefaultStrategy(), MCMCStrategy()])
def test_sanity(strategy: Strategy) -> None:
    params, optimizers = made(3)
    strategy.check_sanity(params, optimizers)
    with pytest.raises(AssertionError, match="optimizers"):
        strategy.check_sanity(params, {name: optimizers[name] for name in ("means", "scales")})
    both = torch.optim.Adam([{"params": params["means"]}, {"params": params["quats"]}])
    with pytest.raises(AssertionError, match="one param_group"):
        strategy.check_sanity(params, optimizers | {"means": both})
    del params["quats"], optimizers["quats"]
    with pytest.raises(AssertionError, match="lack quats"):
        strategy.check_sanity(params, optimizers)


def test_small_ones_are_cloned_large_ones_split_faint_ones_removed() -> None:
    params, optimizers = stepped(6)
    with torch.no_grad():
        params["scales"][:] = torch.tensor([0.005, 0.02, 0.005, 0.02, 0.005, 0.02]).log()[:, None]
        params["opacities"][:] = 1.0
        params["opacities"][4] = -6.0
    refined(DefaultStrategy(), params, optimizers, torch.tensor([3e-4, 3e-4, 1e-4, 1e-4, 1e-4, 1.9e-4]))
    assert params["labels"].tolist() == [0, 2, 3, 5, 0, 1, 1]
    assert {len(param) for param in params.values()} == {7}


def test_what_is_huge_goes_once_a_reset_is_past() -> None:
    for step, left in ((600, [0, 1]), (3000, [0, 1]), (3100, [0])):
        params, optimizers = made(2)
        with torch.no_grad():
            params["scales"][:] = torch.tensor([0.05, 0.2]).log()[:, None]
            params["opacities"][:] = 1.0
        refined(DefaultStrategy(), params, optimizers, torch.zeros(2), step)
        assert params["labels"].tolist() == left


def test_wide_ones_on_the_screen_split_and_go_while_they_are_asked_to() -> None:
    strategy = DefaultStrategy(refine_scale2d_stop_iter=4000)
    for step, left in ((600, [0, 1, 1, 2, 2]), (3100, [0, 1, 1]), (4000, [0, 1, 2])):
        params, optimizers = made(3)
        with torch.no_grad():
            params["scales"][:] = -5.0
            params["opacities"][:] = 1.0
        state = strategy.initialize_state()
        radii = torch.tensor([[[5, 5], [12, 8], [20, 40]]])  # of 200: 0.025, 0.06, 0.2
        strategy.step_post_backward(params, optimizers, state, step, notes(torch.zeros(1, 3, 2), radii))
        assert sorted(params["labels"].tolist()) == left
        assert state["radii"].tolist() == [0.0] * len(left)


def test_refines_and_resets_on_gsplats_schedule() -> None:
    strategy = DefaultStrategy(pause_refine_after_reset=150)
    grown, reset = [], []
    for step in range(0, 15_200, 50):
        params, optimizers = made(3)
        with torch.no_grad():
            params["scales"][:] = -6.0
            params["opacities"][:] = 1.0
        refined(strategy, params, optimizers, torch.ones(3), step)
        if len(params["means"]) > 3:
            grown.append(step)
        if bool((params["opacities"] < 0).all()):
            reset.append(step)
    assert reset == [3000, 6000, 9000, 12_000]
    assert grown == [step for step in range(600, 15_000, 100) if step % 3000 >= 150]


def test_gradients_are_averaged_over_what_was_seen() -> None:
    params, optimizers = made(3)
    strategy = DefaultStrategy()
    state = strategy.initialize_state(scene_scale=2.0)
    gradient = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [9.0, 9.0]], [[0.3, 0.4], [1.0, 0.0], [9.0, 9.0]]])
    radii = torch.tensor([[[1, 1], [2, 2], [0, 0]], [[3, 1], [0, 2], [0, 0]]])
    for _ in range(2):
        strategy.step_post_backward(params, optimizers, state, 1, notes(gradient, radii))
    # Two images, 200 × 100 pixels: x counts 200, y counts 100.
    expected = torch.tensor([600 + (60**2 + 40**2) ** 0.5, 400, 0])
    torch.testing.assert_close(state["grad2d"], 2 * expected)
    assert state["count"].tolist() == [4, 2, 0]
    assert state["scene_scale"] == 2.0


@pytest.mark.parametrize("absgrad", [False, True])
def test_packed_notes_count_the_same(absgrad: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    strategy = DefaultStrategy(refine_scale2d_stop_iter=10, absgrad=absgrad)
    states = [strategy.initialize_state() for _ in range(2)]
    for _ in range(3):
        gradient = torch.randn(4, 30, 2, generator=generator)
        radii = torch.randint(-2, 9, (4, 30, 2), generator=generator).clamp(min=0)
        info = notes(gradient, radii)
        for state, told in zip(states, (info, packed(info)), strict=True):
            params, optimizers = made(30)
            strategy.step_post_backward(
                params, optimizers, state, 3, told, packed=told["gaussian_ids"] is not None
            )
    for key in ("grad2d", "count", "radii"):
        torch.testing.assert_close(states[0][key], states[1][key])
    assert states[0]["count"].sum() > 100


def test_the_widest_of_several_views_counts() -> None:
    strategy = DefaultStrategy(refine_scale2d_stop_iter=10)
    params, optimizers = made(1)
    state = strategy.initialize_state()
    for wide in (7, 40, 5):
        radii = torch.tensor([[[wide, 3]], [[2, 1]]])
        strategy.step_post_backward(params, optimizers, state, 1, notes(torch.zeros(2, 1, 2), radii))
    assert state["radii"].item() == pytest.approx(40 / 200)


def test_missing_notes_are_named() -> None:
    params, optimizers = made(2)
    strategy = DefaultStrategy(key_for_gradient="gradient_2dgs")
    info = notes(torch.zeros(1, 2, 2), seen(2))
    with pytest.raises(AssertionError, match="gradient_2dgs"):
        strategy.step_pre_backward(params, optimizers, strategy.initialize_state(), 0, info)
    del info["radii"]
    with pytest.raises(AssertionError, match="radii"):
        DefaultStrategy().step_post_backward(params, optimizers, strategy.initialize_state(), 0, info)


def test_mcmc_grows_by_five_percent_to_the_cap_on_gsplats_schedule() -> None:
    params, optimizers = stepped(40)
    strategy = MCMCStrategy(cap_max=45, noise_lr=0.0, refine_stop_iter=1000)
    state = strategy.initialize_state()
    counts = {}
    for step in (0, 500, 550, 600, 700, 800, 900, 1000):
        strategy.step_post_backward(params, optimizers, state, step, {}, lr=1e-4)
        counts[step] = len(params["means"])
    assert counts == {0: 40, 500: 40, 550: 40, 600: 42, 700: 44, 800: 45, 900: 45, 1000: 45}


def test_mcmc_moves_the_dead_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    params, optimizers = made(8)
    with torch.no_grad():
        params["opacities"][:] = 0.0
        params["opacities"][3:6] = -7.0
    MCMCStrategy(cap_max=8, noise_lr=0.0, verbose=True).step_post_backward(
        params, optimizers, MCMCStrategy().initialize_state(), 600, {}, lr=1e-4
    )
    assert not {3.0, 4.0, 5.0} & set(params["labels"].tolist())
    assert "Relocated 3 GSs." in capsys.readouterr().out


def test_mcmc_noise_at_every_step_until_it_is_stopped() -> None:
    params, optimizers = made(50)
    with torch.no_grad():
        params["opacities"][:] = -6.0
    strategy = MCMCStrategy(noise_injection_stop_iter=7)
    state = strategy.initialize_state()
    for step, moved in ((0, True), (6, True), (7, False)):
        before = params["means"].detach().clone()
        strategy.step_post_backward(params, optimizers, state, step, {}, lr=1e-4)
        assert (not torch.equal(params["means"], before)) == moved


def loop(strategy: DefaultStrategy | MCMCStrategy, packing: bool, seed: int, steps: int = 40) -> Any:
    """A training loop as one writes it against gsplat; returns parameters and the losses."""
    torch.manual_seed(seed)
    K = torch.tensor([[50.0, 0, 20], [0, 50, 16], [0, 0, 1]])[None]
    view = torch.eye(4)[None]
    photo = torch.rand(1, 4, 5, 3).repeat_interleave(8, 1).repeat_interleave(8, 2)
    means = torch.randn(60, 3) * 0.5 + torch.tensor([0.0, 0.0, 3.0])
    params = torch.nn.ParameterDict(
        {
            "means": torch.nn.Parameter(means),
            "scales": torch.nn.Parameter(torch.full((60, 3), -2.0)),
            "quats": torch.nn.Parameter(torch.rand(60, 4)),
            "opacities": torch.nn.Parameter(torch.zeros(60)),
            "sh0": torch.nn.Parameter(torch.zeros(60, 1, 3)),
            "shN": torch.nn.Parameter(torch.zeros(60, 8, 3)),
        }
    )
    rates = {"means": 1e-3, "scales": 5e-3, "quats": 1e-3, "opacities": 5e-2, "sh0": 2.5e-2, "shN": 1e-3}
    optimizers = {name: torch.optim.Adam([params[name]], lr=rate, eps=1e-15) for name, rate in rates.items()}
    strategy.check_sanity(params, optimizers)
    state = strategy.initialize_state()
    losses = []
    for step in range(steps):
        colors, _, info = rasterization(
            params["means"],
            params["quats"],
            torch.exp(params["scales"]),
            torch.sigmoid(params["opacities"]),
            torch.cat([params["sh0"], params["shN"]], 1),
            view,
            K,
            40,
            32,
            sh_degree=min(step // 10, 2),
            packed=packing,
            absgrad=isinstance(strategy, DefaultStrategy) and strategy.absgrad,
        )
        strategy.step_pre_backward(params, optimizers, state, step, info)
        loss = (colors - photo).abs().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()))
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if isinstance(strategy, DefaultStrategy):
            strategy.step_post_backward(params, optimizers, state, step, info, packed=packing)
        else:
            strategy.step_post_backward(params, optimizers, state, step, info, lr=rates["means"])
    return params, losses


STRATEGIES = [
    DefaultStrategy(refine_start_iter=5, refine_every=10, refine_stop_iter=35, reset_every=1000),
    DefaultStrategy(
        refine_start_iter=5, refine_every=10, refine_stop_iter=35, absgrad=True, grow_grad2d=8e-4
    ),
    MCMCStrategy(refine_start_iter=5, refine_every=10, refine_stop_iter=35, cap_max=66, noise_lr=1.0),
]


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_loop_written_for_gsplat_learns(strategy: DefaultStrategy | MCMCStrategy, packing: bool) -> None:
    params, losses = loop(strategy, packing, seed=0)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert len(params["means"]) > 60
    assert len({len(param) for param in params.values()}) == 1
    assert all(param.isfinite().all() for param in params.values())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_gives_the_same_scene(strategy: DefaultStrategy | MCMCStrategy) -> None:
    first, again, other = (loop(strategy, True, seed, steps=25)[0] for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["means"][:60], other["means"][:60])


def test_ops_may_empty_a_scene_without_failing() -> None:
    params, optimizers = stepped(4)
    ops.remove(params, optimizers, {}, torch.ones(4, dtype=torch.bool))
    assert {len(param) for param in params.values()} == {0}
    ops.inject_noise_to_position(params, optimizers, {}, 1.0)
