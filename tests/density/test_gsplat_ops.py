"""Operations of gsplat's strategies: rows, moments and running state move together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from firstlight.density.gsplat import MCMCStrategy, compute_relocation, ops
from firstlight.render import ShapeError, rasterization
from firstlight.scene.rotation import quat_to_rotmat
from tests.density.gsplat_params import made, moments, stepped

BINOMS = MCMCStrategy().initialize_state()["binoms"]
MASK = torch.tensor([False, True, False, True, False])


def copied(params: Any) -> dict[str, Tensor]:
    return {name: param.detach().clone() for name, param in params.items()}


def running() -> dict[str, Any]:
    return {
        "count": torch.arange(5.0),
        "pairs": torch.arange(10).view(5, 2),
        "scene_scale": 2.0,
        "none": None,
    }


@pytest.mark.parametrize("dictionary", [dict, torch.nn.ParameterDict])
def test_duplicates_come_last_without_moments(dictionary: type) -> None:
    params, optimizers = stepped(5, dictionary=dictionary)
    before, state = copied(params), running()
    ops.duplicate(params, optimizers, state, MASK)
    for name, param in params.items():
        assert torch.equal(param, before[name][[0, 1, 2, 3, 4, 1, 3]])
        assert isinstance(param, torch.nn.Parameter)
        assert param.requires_grad == (name != "labels")
    assert {tuple(rows.tolist()) for rows in moments(params, optimizers).values()} == {(1, 2, 3, 4, 5, 0, 0)}
    assert state["count"].tolist() == [0, 1, 2, 3, 4, 1, 3]
    assert state["pairs"].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [2, 3], [6, 7]]
    assert (state["scene_scale"], state["none"]) == (2.0, None)


def test_removal_keeps_the_others_with_their_moments() -> None:
    params, optimizers = stepped(5)
    before, state = copied(params), running()
    ops.remove(params, optimizers, state, MASK)
    for name, param in params.items():
        assert torch.equal(param, before[name][[0, 2, 4]])
    assert {tuple(rows.tolist()) for rows in moments(params, optimizers).values()} == {(1, 3, 5)}
    assert state["count"].tolist() == [0, 2, 4]


@pytest.mark.parametrize("column", [False, True])
def test_halves_take_the_place_of_what_is_split(column: bool) -> None:
    params, optimizers = stepped(5, column=column)
    before, state = copied(params), running()
    ops.split(params, optimizers, state, MASK)
    order = [0, 2, 4, 1, 3, 1, 3]
    for name, param in params.items():
        if name not in ("means", "scales"):
            assert torch.equal(param, before[name][order])
    torch.testing.assert_close(params["scales"][:3].exp(), before["scales"][[0, 2, 4]].exp())
    torch.testing.assert_close(params["scales"][3:].exp(), before["scales"][[1, 3, 1, 3]].exp() / 1.6)
    assert torch.equal(params["means"][:3], before["means"][[0, 2, 4]])
    assert not torch.isclose(params["means"][3:5], params["means"][5:]).any()
    assert {tuple(rows.tolist()) for rows in moments(params, optimizers).values()} == {(1, 3, 5, 0, 0, 0, 0)}
    assert state["count"].tolist() == [0, 2, 4, 1, 3, 1, 3]


def test_halves_are_drawn_from_the_one_that_was() -> None:
    params, optimizers = made(1)
    count = 20_000
    for name, param in list(params.items()):
        params[name] = torch.nn.Parameter(
            param.detach().repeat(count, *[1] * (param.dim() - 1)), param.requires_grad
        )
    optimizers = {name: torch.optim.Adam([params[name]]) for name in optimizers}
    mean, scales = params["means"][0].detach(), params["scales"][0].detach().exp()
    root = quat_to_rotmat(params["quats"][0].detach()) * scales
    torch.manual_seed(0)
    ops.split(params, optimizers, {}, torch.ones(count, dtype=torch.bool))
    offsets = params["means"].detach() - mean
    expected = root @ root.T
    assert len(offsets) == 2 * count
    assert (offsets.T.cov() - expected).norm() < 0.02 * expected.norm()
    assert offsets.mean(0).norm() < 0.03 * expected.trace().sqrt()


def test_revised_halves_are_together_as_opaque_as_the_one() -> None:
    params, optimizers = made(5)
    whole = params["opacities"].detach().sigmoid()
    ops.split(params, optimizers, {}, MASK, revised_opacity=True)
    half = params["opacities"].detach().sigmoid()
    torch.testing.assert_close(half[:3], whole[[0, 2, 4]])
    torch.testing.assert_close(1 - (1 - half[3:5]) * (1 - half[5:]), whole[[1, 3]])


@pytest.mark.parametrize("column", [False, True])
def test_reset_lowers_opacities_and_forgets_only_their_moments(column: bool) -> None:
    params, optimizers = stepped(5, column=column)
    with torch.no_grad():
        params["opacities"][2] = -8.0
    before = copied(params)
    ops.reset_opa(params, optimizers, {}, 0.01)
    after = params["opacities"].detach().flatten()
    assert after[2] == -8.0
    torch.testing.assert_close(after[[0, 1, 3, 4]].sigmoid(), torch.full((4,), 0.01))
    for name, numbers in moments(params, optimizers).items():
        assert numbers.tolist() == ([0] * 5 if name == "opacities" else [1, 2, 3, 4, 5])
        if name != "opacities":
            assert torch.equal(params[name], before[name])


@pytest.mark.parametrize("column", [False, True])
def test_the_dead_move_to_others_and_share_with_them(column: bool) -> None:
    params, optimizers = stepped(5, column=column)
    before, state = copied(params), running()
    torch.manual_seed(3)
    ops.relocate(params, optimizers, state, MASK, BINOMS)
    joined = {dead: int((before["means"] == params["means"][dead]).all(1).nonzero()) for dead in (1, 3)}
    sources = list(joined.values())
    assert set(sources) <= {0, 2, 4}
    for dead, source in joined.items():
        for param in params.values():
            assert torch.equal(param[dead], param[source])
        opacities, scales = compute_relocation(
            before["opacities"][source].sigmoid().view(1),
            before["scales"][[source]].exp(),
            torch.tensor([sources.count(source) + 1]),
            BINOMS,
        )
        torch.testing.assert_close(params["opacities"][source].sigmoid().view(1), opacities)
        torch.testing.assert_close(params["scales"][[source]].exp(), scales)
    numbers = [0.0 if row in sources else row + 1.0 for row in range(5)]
    assert all(rows.tolist() == numbers for rows in moments(params, optimizers).values())
    assert state["count"].tolist() == [0 if row in sources else row for row in range(5)]
    untouched = [row for row in range(5) if row not in {1, 3, *sources}]
    for name, param in params.items():
        assert torch.equal(param[untouched], before[name][untouched])


def test_with_nobody_alive_or_nobody_dead_nothing_moves() -> None:
    params, optimizers = stepped(5)
    before = copied(params)
    for mask in (torch.ones(5, dtype=torch.bool), torch.zeros(5, dtype=torch.bool)):
        ops.relocate(params, optimizers, {}, mask, BINOMS)
    assert all(torch.equal(params[name], before[name]) for name in before)


@pytest.mark.parametrize("column", [False, True])
def test_added_ones_share_their_places(column: bool) -> None:
    params, optimizers = stepped(5, column=column)
    before, state = copied(params), running()
    ops.sample_add(params, optimizers, state, 7, BINOMS)
    joined = [int((before["means"] == mean).all(1).nonzero()) for mean in params["means"][5:]]
    for name, param in params.items():
        assert torch.equal(param[5:], param[joined])
        if name not in ("opacities", "scales"):
            assert torch.equal(param[:5], before[name])
    assert (params["opacities"][joined] < before["opacities"][joined]).all()
    alone = [row for row in range(5) if row not in joined]
    assert torch.equal(params["opacities"][alone], before["opacities"][alone])
    expected = [1, 2, 3, 4, 5] + [0] * 7
    assert all(rows.tolist() == expected for rows in moments(params, optimizers).values())
    assert state["count"].tolist() == [0, 1, 2, 3, 4] + [0] * 7


@pytest.mark.parametrize("n_max", [51, 21])
def test_relocation_is_equation_9_up_to_the_tables_end(n_max: int) -> None:
    binoms = torch.zeros(n_max, n_max)
    opacities = torch.tensor([0.3, 0.9, 0.6])
    scales = torch.tensor([[1.0, 2, 3]]).repeat(3, 1)
    new, smaller = compute_relocation(opacities, scales, torch.tensor([1, 4, 500]), binoms)
    torch.testing.assert_close(new, 1 - (1 - opacities) ** (1 / torch.tensor([1, 4, float(n_max)])))
    torch.testing.assert_close(smaller[0], scales[0])
    # Two terms by hand: of four copies, C(4, j) pʲ (−1)ʲ⁺¹ / √j over j = 1 … 4.
    p = 1 - 0.1**0.25
    total = 4 * p - 6 * p**2 / 2**0.5 + 4 * p**3 / 3**0.5 - p**4 / 2
    torch.testing.assert_close(smaller[1], scales[1] * 0.9 / total)


def test_relocation_of_the_faint_makes_up_in_scale() -> None:
    new, smaller = compute_relocation(
        torch.tensor([0.006]), torch.ones(1, 3), torch.tensor([2]), BINOMS, min_opacity=0.005
    )
    assert new.item() == pytest.approx(0.005)
    assert smaller[0, 0].item() == pytest.approx(0.006 / (2 * 0.005 - 0.005**2 / 2**0.5), rel=1e-4)


def test_relocation_refuses_other_shapes() -> None:
    with pytest.raises(ShapeError, match=r"scales \[2, 3\]"):
        compute_relocation(torch.rand(2), torch.rand(3, 3), torch.ones(2, dtype=torch.long), BINOMS)


def picture(params: Any) -> Tensor:
    K = torch.tensor([[60.0, 0, 24], [0, 60, 24], [0, 0, 1]])
    colors, _, _ = rasterization(
        params["means"],
        params["quats"],
        params["scales"].exp(),
        params["opacities"].sigmoid(),
        params["features"][:, 0].sigmoid(),
        torch.eye(4)[None],
        K[None],
        48,
        48,
        packed=False,
    )
    return colors[0].detach()


@pytest.mark.parametrize("adding", [False, True])
def test_relocating_and_adding_keep_the_picture(adding: bool) -> None:
    params, optimizers = made(9, seed=2)
    with torch.no_grad():
        params["means"][:] = torch.tensor([0.0, 0.0, 2.5]) + 0.3 * torch.randn(9, 3)
        params["scales"][:] = params["scales"].clamp(-2.5, -1.5)
        params["opacities"][:] = torch.linspace(-1, 1.5, 9)
        params["opacities"][[1, 5, 7]] = -9.0
    before, plain = picture(params), copied(params)
    torch.manual_seed(1)
    if adding:
        ops.sample_add(params, optimizers, {}, 4, BINOMS)
        joined = [int((plain["means"] == mean).all(1).nonzero()) for mean in params["means"][9:]]
        plain = {name: torch.cat([value, value[joined]]) for name, value in plain.items()}
    else:
        dead = torch.tensor([1, 5, 7])
        ops.relocate(params, optimizers, {}, params["opacities"] < -5, BINOMS)
        joined = [int((plain["means"] == params["means"][row]).all(1).nonzero()) for row in dead]
        plain = {name: value.index_copy(0, dead, value[joined]) for name, value in plain.items()}
    error, naive = ((picture(one) - before).square().mean().sqrt() for one in (params, plain))
    assert before.std() > 0.05
    assert error < 0.02
    assert error < 0.5 * naive


def test_optimisers_go_on_after_every_operation() -> None:
    params, optimizers = stepped(5)
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in optimizers.items()}
    for change in (ops.duplicate, ops.split, ops.remove):
        mask = torch.zeros(len(params["means"]), dtype=torch.bool)
        mask[1:3] = True
        change(params, optimizers, {}, mask)
        for name, optimizer in optimizers.items():
            old = params[name].detach().clone()
            params[name].grad = torch.ones_like(params[name])
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            assert optimizer.param_groups[0]["lr"] == rates[name]
            assert (params[name] < old).all()


def test_before_the_first_step_there_is_nothing_to_move() -> None:
    params, optimizers = made(5)
    ops.duplicate(params, optimizers, {}, MASK)
    for name, optimizer in optimizers.items():
        params[name].grad = torch.ones_like(params[name])
        optimizer.step()
        assert optimizer.state[params[name]]["exp_avg"].shape == params[name].shape


def test_optimisers_without_moments_work_too() -> None:
    params, _ = made(5)
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.SGD([param], lr=0.1) for name, param in params.items() if param.requires_grad
    }
    ops.remove(params, optimizers, {}, MASK)
    assert all(optimizers[name].param_groups[0]["params"] == [params[name]] for name in optimizers)


def test_a_trained_parameter_needs_an_optimiser() -> None:
    params, optimizers = made(5)
    del optimizers["features"]
    with pytest.raises(ValueError, match="features is trained but has no optimizer"):
        ops.remove(params, optimizers, {}, MASK)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_is_shaped_like_each_gaussian(dtype: torch.dtype) -> None:
    params, optimizers = made(1)
    count = 20_000
    many = {
        name: torch.nn.Parameter(param.detach().to(dtype).repeat(count, *[1] * (param.dim() - 1)))
        for name, param in params.items()
    }
    with torch.no_grad():
        many["opacities"].fill_(torch.logit(torch.tensor(0.005)).item())
    before = many["means"].detach().clone()
    torch.manual_seed(0)
    ops.inject_noise_to_position(many, optimizers, {}, 0.3)
    root = quat_to_rotmat(many["quats"][0].detach()) * many["scales"][0].detach().exp()
    expected = (0.3 * 0.5 * root @ root.T) @ (0.3 * 0.5 * root @ root.T)
    found = (many["means"].detach() - before).T.cov()
    assert (found - expected).norm() < 0.03 * expected.norm()


def test_noise_fades_where_it_is_told_to() -> None:
    params, optimizers = made(1000)
    with torch.no_grad():
        params["opacities"].fill_(0.0)
    before = params["means"].detach().clone()
    ops.inject_noise_to_position(params, optimizers, {}, 1.0)
    assert torch.equal(params["means"], before)
    ops.inject_noise_to_position(params, optimizers, {}, 1.0, t=0.5, k=10.0)
    assert not torch.isclose(params["means"], before).any(1).all()
