"""VisibleAdam against torch.optim.Adam, which steps hidden rows too, with gradients of zero."""

from __future__ import annotations

import numba
import pytest
import torch
from torch import Tensor

from firstlight.fitting._adam import VisibleAdam

WIDTHS: dict[str, tuple[int, ...]] = {
    "means": (3,),
    "quats": (4,),
    "log_scales": (3,),
    "logit_opacities": (),
    "sh": (9, 3),
}
RATES = {
    "means": 1e-2,
    "quats": 2e-2,
    "log_scales": 3e-2,
    "logit_opacities": 4e-2,
    "sh": 5e-2,
    "sh_rest": 6e-3,
}


def rows(count: int, seed: int = 0, sh: int = 9) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = WIDTHS | {"sh": (sh, 3)}
    return {name: torch.randn(count, *shape, generator=generator) for name, shape in shapes.items()}


def leaves(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone().requires_grad_() for name, value in values.items()}


def give_gradients(params: dict[str, Tensor], seed: int) -> None:
    """Gradients as different in size as real ones are."""
    for name, gradient in rows(len(params["means"]), seed, params["sh"].shape[1]).items():
        params[name].grad = gradient * 10.0 ** (seed % 7 - 5)


def visible_in(count: int, step: int) -> Tensor:
    """Row r is seen in every (r % 5 + 1)th step; the last row never."""
    seen = step % (torch.arange(count) % 5 + 1) == 0
    seen[-1] = False
    return seen


class Twin:
    """torch.optim.Adam over all rows in float64; hidden ones have a gradient of zero."""

    def __init__(self, values: dict[str, Tensor], steps: int = 0) -> None:
        self.values = {name: value.clone().double() for name, value in values.items()}
        self.values["sh_rest"] = self.values["sh"][:, 1:].clone()
        self.values["sh"] = self.values["sh"][:, :1].clone()
        groups = [{"params": [value], "lr": RATES[name]} for name, value in self.values.items()]
        self.adam = torch.optim.Adam(groups, eps=1e-15)
        for value in self.values.values():
            moments = {"exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.zeros_like(value)}
            self.adam.state[value] = {"step": torch.tensor(float(steps)), **moments}

    def step(self, visible: Tensor, params: dict[str, Tensor]) -> None:
        for name, param in params.items():
            assert param.grad is not None
            seen = visible.view(-1, *[1] * (param.dim() - 1))
            gradient = torch.where(seen, param.grad, 0.0).double()
            self.values[name].grad = gradient[:, :1] if name == "sh" else gradient
            if name == "sh":
                self.values["sh_rest"].grad = gradient[:, 1:]
        self.adam.step()

    def value(self, name: str) -> Tensor:
        return (
            torch.cat([self.values["sh"], self.values["sh_rest"]], 1) if name == "sh" else self.values[name]
        )


@pytest.mark.parametrize("sh", [1, 4, 9, 16])
@pytest.mark.parametrize("count", [1, 7, 300])
def test_equals_torchs_adam_where_all_is_seen(count: int, sh: int) -> None:
    values = rows(count, sh=sh)
    params, twin = leaves(values), Twin(values)
    optimizer = VisibleAdam(params)
    for step in range(8):
        give_gradients(params, 100 + step)
        seen = torch.ones(count, dtype=torch.bool)
        optimizer.step(seen, RATES)
        twin.step(seen, params)
    for name, param in params.items():
        torch.testing.assert_close(param.detach().double(), twin.value(name), rtol=2e-5, atol=2e-6)
    assert optimizer.skipped == 0


def test_hidden_rows_are_caught_up_with_as_torchs_adam_steps_them() -> None:
    """Far into a fit, where the bias correction does not change over the steps that a row misses."""
    values = rows(40)
    params, twin = leaves(values), Twin(values, steps=100_000)
    optimizer = VisibleAdam(params)
    optimizer.load(
        optimizer.state() | {"steps": torch.tensor(100_000), "last": torch.full((40,), 100_000).int()}
    )
    for step in range(31):
        give_gradients(params, 100 + step)
        seen = visible_in(40, step) if step < 30 else torch.ones(40, dtype=torch.bool)
        optimizer.step(seen, RATES)
        twin.step(seen, params)
        for name, param in params.items():
            ours, theirs = param.detach()[seen].double(), twin.value(name)[seen]
            torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=2e-5)


def test_early_in_a_fit_catching_up_is_close_to_torchs_adam() -> None:
    """There the bias correction of the step in which a row returns stands for those that it missed."""
    values = rows(40)
    params, twin = leaves(values), Twin(values)
    optimizer = VisibleAdam(params)
    for step in range(200):
        give_gradients(params, 100 + step)
        seen = visible_in(40, step) if step < 199 else torch.ones(40, dtype=torch.bool)
        optimizer.step(seen, RATES)
        twin.step(seen, params)
    for name, param in params.items():
        moved = (twin.value(name) - values[name]).abs().mean()
        assert (param.detach() - twin.value(name)).abs().mean() < 0.05 * moved


def test_first_step_moves_by_the_rate_whatever_the_gradient() -> None:
    params = leaves(rows(5))
    before = {name: param.detach().clone() for name, param in params.items()}
    give_gradients(params, 3)
    VisibleAdam(params).step(torch.ones(5, dtype=torch.bool), RATES)
    for name in ("means", "quats", "log_scales", "logit_opacities"):
        moved = (params[name].detach() - before[name]).abs()
        torch.testing.assert_close(moved, torch.full_like(moved, RATES[name]), rtol=1e-3, atol=1e-6)
    moved = (params["sh"].detach() - before["sh"]).abs()
    torch.testing.assert_close(moved[:, 0], torch.full((5, 3), RATES["sh"]), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(moved[:, 1:], torch.full((5, 8, 3), RATES["sh_rest"]), rtol=1e-3, atol=1e-6)


def test_hidden_rows_do_not_change_in_any_bit() -> None:
    params = leaves(rows(200))
    optimizer = VisibleAdam(params)
    for step in range(3):
        give_gradients(params, step)
        optimizer.step(torch.ones(200, dtype=torch.bool), RATES)
    before = {name: param.detach().clone() for name, param in params.items()}
    moments = {name: tensor.clone() for name, tensor in optimizer.state().items()}
    give_gradients(params, 9)
    seen = torch.arange(200) % 3 == 0
    optimizer.step(seen, RATES)
    for name, param in params.items():
        assert torch.equal(param[~seen], before[name][~seen])
        assert not torch.isclose(param[seen], before[name][seen], rtol=1e-7, atol=0).all()
    for name, tensor in optimizer.state().items():
        if tensor.dim() > 0:
            assert torch.equal(tensor[~seen], moments[name][~seen])


@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_rows_without_a_finite_gradient_are_skipped_and_counted(name: str, value: float) -> None:
    params, same = leaves(rows(150)), leaves(rows(150))
    give_gradients(params, 1)
    give_gradients(same, 1)
    gradient = params[name].grad
    assert gradient is not None
    gradient[[4, 140]] = value
    gradient[77] = value  # not visible: not counted
    seen = torch.arange(150) != 77
    optimizer, other = VisibleAdam(params), VisibleAdam(same)
    optimizer.step(seen, RATES)
    seen[[4, 140]] = False
    other.step(seen, RATES)
    assert optimizer.skipped == 2
    for key, param in params.items():
        assert torch.equal(param, same[key])
    for key, tensor in optimizer.state().items():
        if key != "skipped":
            assert torch.equal(tensor, other.state()[key])


def test_selected_rows_take_their_moments_along() -> None:
    params = leaves(rows(40))
    optimizer = VisibleAdam(params)
    give_gradients(params, 1)
    optimizer.step(visible_in(40, 0), RATES)
    index = torch.tensor([3, 39, 3, 0])
    optimizer.select(index)
    optimizer.append(2)
    chosen = {name: torch.cat([param.detach()[index], param.detach()[:2]]) for name, param in params.items()}
    moved = leaves(chosen)
    optimizer.params = moved
    assert optimizer.state()["last"].tolist() == [1, 0, 1, 1, 1, 1]  # new rows have missed nothing
    moments = optimizer.state()["first.means"]
    assert moments[[0, 2, 3]].all()
    assert not moments[[1, 4, 5]].any()
    give_gradients(moved, 2)
    optimizer.step(torch.ones(6, dtype=torch.bool), RATES)
    assert optimizer.state()["last"].tolist() == [2] * 6
    for name, param in moved.items():
        ours = param.detach() - chosen[name]
        # Rows without a past: what Adam's second step is after a first one without a gradient.
        late = (1 - 0.9) / (1 - 0.9**2) / ((1 - 0.999) / (1 - 0.999**2)) ** 0.5
        fresh = torch.full_like(ours[[1, 4, 5]], RATES[name])
        if name == "sh":
            fresh[:, 1:] = RATES["sh_rest"]
        torch.testing.assert_close(ours[[1, 4, 5]].abs(), late * fresh, rtol=1e-3, atol=1e-6)


def test_mask_selects_like_positions() -> None:
    params = leaves(rows(10))
    one, other = VisibleAdam(params), VisibleAdam(params)
    give_gradients(params, 1)
    one.step(visible_in(10, 0), RATES)
    other.load(one.state())
    mask = torch.arange(10) % 2 == 0
    one.select(mask)
    other.select(mask.nonzero()[:, 0])
    for name, tensor in one.state().items():
        assert torch.equal(tensor, other.state()[name])


def test_reset_forgets_only_what_is_named() -> None:
    params = leaves(rows(6))
    optimizer = VisibleAdam(params)
    give_gradients(params, 1)
    optimizer.step(torch.ones(6, dtype=torch.bool), RATES)
    optimizer.reset(torch.tensor([2, 5]), ["logit_opacities"])
    state = optimizer.state()
    assert not state["first.logit_opacities"][[2, 5]].any()
    assert state["second.logit_opacities"][[0, 1, 3, 4]].all()
    assert state["first.means"].all()
    optimizer.reset(torch.tensor([False, True, False, False, False, False]))
    state = optimizer.state()
    assert all(not state[f"{kind}.{name}"][1].any() for name in params for kind in ("first", "second"))


def test_goes_on_from_a_saved_state_bit_for_bit() -> None:
    whole, first = leaves(rows(300)), leaves(rows(300))
    unbroken, broken = VisibleAdam(whole), VisibleAdam(first)
    for step in range(3):
        for params, optimizer in ((whole, unbroken), (first, broken)):
            give_gradients(params, step)
            optimizer.step(visible_in(300, step), RATES)
    saved = {name: tensor.clone() for name, tensor in broken.state().items()}
    second = leaves({name: param.detach() for name, param in first.items()})
    resumed = VisibleAdam(second)
    resumed.load(saved)
    for step in range(3, 6):
        for params, optimizer in ((whole, unbroken), (second, resumed)):
            give_gradients(params, step)
            optimizer.step(visible_in(300, step), RATES)
    for name, param in whole.items():
        assert torch.equal(param, second[name])


def test_a_row_that_was_hidden_for_ages_starts_as_if_anew(one_thread: None) -> None:
    params = leaves(rows(2))
    optimizer = VisibleAdam(params)
    give_gradients(params, 1)
    optimizer.step(torch.tensor([True, False]), RATES)
    state = optimizer.state()
    optimizer.load(state | {"steps": torch.tensor(50_000)})
    before = params["means"].detach().clone()
    for param in params.values():
        param.grad = torch.ones_like(param)
    optimizer.step(torch.tensor([False, True]), RATES)
    uncorrected = before[1] - RATES["means"] * 0.1 / 0.001**0.5
    torch.testing.assert_close(params["means"].detach()[1], uncorrected, rtol=1e-4, atol=1e-6)
    optimizer.step(torch.tensor([True, False]), RATES)
    assert params["means"].isfinite().all()
    assert (optimizer.state()["first.means"][0] - 0.1).abs().max() < 1e-6


def test_no_number_of_threads_changes_a_bit() -> None:
    threads = numba.get_num_threads()
    results = []
    try:
        for count in (1, threads, threads):
            numba.set_num_threads(count)
            params = leaves(rows(1000))
            optimizer = VisibleAdam(params)
            for step in range(3):
                give_gradients(params, step)
                optimizer.step(visible_in(1000, step), RATES)
            results.append(params)
    finally:
        numba.set_num_threads(threads)
    for name in WIDTHS:
        assert torch.equal(results[0][name], results[1][name])
        assert torch.equal(results[0][name], results[2][name])


def test_no_rows_are_no_work() -> None:
    params = leaves(rows(0))
    give_gradients(params, 1)
    optimizer = VisibleAdam(params)
    optimizer.step(torch.zeros(0, dtype=torch.bool), RATES)
    assert optimizer.skipped == 0


def test_autograd_notices_the_change() -> None:
    params = leaves(rows(3))
    give_gradients(params, 1)
    squares = params["means"].square().sum()
    VisibleAdam(params).step(torch.ones(3, dtype=torch.bool), RATES)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squares.backward()  # type: ignore[no-untyped-call]


def test_what_does_not_fit_is_named() -> None:
    params = leaves(rows(4))
    optimizer = VisibleAdam(params)
    seen = torch.ones(4, dtype=torch.bool)
    with pytest.raises(ValueError, match="means has no gradient"):
        optimizer.step(seen, RATES)
    give_gradients(params, 1)
    with pytest.raises(ValueError, match="no learning rate for quats"):
        optimizer.step(seen, {"means": 1.0})
    with pytest.raises(ValueError, match=r"visible must be \[4\] bool"):
        optimizer.step(seen[:3], RATES)
    optimizer.append(1)
    with pytest.raises(ValueError, match="no moments of its shape"):
        optimizer.step(seen, RATES)
    with pytest.raises(ValueError, match=r"first\.means does not fit"):
        VisibleAdam(params).load(optimizer.state())
