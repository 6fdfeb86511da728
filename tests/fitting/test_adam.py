"""VisibleAdam against one torch.optim.Adam a row."""

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
    """For each row its own torch.optim.Adam, run in the steps in which the row is visible."""

    def __init__(self, values: dict[str, Tensor]) -> None:
        self.rows = []
        for row in range(len(values["means"])):
            own = {name: value[row].clone().double().requires_grad_() for name, value in values.items()}
            own["sh_rest"] = own["sh"][1:].detach().clone().requires_grad_()
            own["sh"] = own["sh"][:1].detach().clone().requires_grad_()
            groups = [{"params": [own[name]], "lr": rate} for name, rate in RATES.items()]
            self.rows.append((own, torch.optim.Adam(groups, eps=1e-15)))

    def step(self, visible: Tensor, params: dict[str, Tensor]) -> None:
        for row, (own, adam) in enumerate(self.rows):
            if visible[row]:
                for name, param in params.items():
                    assert param.grad is not None
                    gradient = param.grad[row].double()
                    own[name].grad = gradient[:1] if name == "sh" else gradient
                    if name == "sh":
                        own["sh_rest"].grad = gradient[1:]
                adam.step()

    def value(self, name: str) -> Tensor:
        if name == "sh":
            return torch.stack([torch.cat([own["sh"], own["sh_rest"]]) for own, _ in self.rows]).detach()
        return torch.stack([own[name] for own, _ in self.rows]).detach()


@pytest.mark.parametrize("sh", [1, 4, 9, 16])
@pytest.mark.parametrize("count", [1, 7, 300])
def test_equals_an_adam_for_each_row(count: int, sh: int) -> None:
    values = rows(count, sh=sh)
    params, twin = leaves(values), Twin(values)
    optimizer = VisibleAdam(params)
    for step in range(8):
        give_gradients(params, 100 + step)
        seen = visible_in(count, step) if count > 1 else torch.ones(1, dtype=torch.bool)
        optimizer.step(seen, RATES)
        twin.step(seen, params)
    for name, param in params.items():
        torch.testing.assert_close(param.detach().double(), twin.value(name), rtol=2e-5, atol=2e-6)
    assert optimizer.skipped == 0


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
        if name != "skipped":
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
    assert optimizer.state()["steps.means"].tolist() == [1, 0, 1, 1, 0, 0]
    give_gradients(moved, 2)
    optimizer.step(torch.ones(6, dtype=torch.bool), RATES)
    for name, param in moved.items():
        assert param.grad is not None
        ours = param.detach() - chosen[name]
        assert torch.equal(
            optimizer.state()[f"steps.{name}"], torch.tensor([2, 1, 2, 2, 1, 1], dtype=torch.int32)
        )
        # rows without a past move by the full rate
        fresh = torch.full_like(ours[[1, 4, 5]], RATES[name])
        if name == "sh":
            fresh[:, 1:] = RATES["sh_rest"]
        torch.testing.assert_close(ours[[1, 4, 5]].abs(), fresh, rtol=1e-3, atol=1e-6)


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
    assert state["steps.logit_opacities"].tolist() == [1, 1, 0, 1, 1, 0]
    assert not state["first.logit_opacities"][[2, 5]].any()
    assert state["second.logit_opacities"][[0, 1, 3, 4]].all()
    assert state["first.means"].all()
    optimizer.reset(torch.tensor([False, True, False, False, False, False]))
    state = optimizer.state()
    assert all(
        not state[f"{kind}.{name}"][1].any() for name in params for kind in ("first", "second", "steps")
    )


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


def test_many_steps_outgrow_the_first_table(one_thread: None) -> None:
    params = leaves(rows(1))
    before = params["means"].detach().clone()
    optimizer = VisibleAdam(params)
    for param in params.values():
        param.grad = torch.full_like(param, 0.3)
    for _ in range(1100):
        optimizer.step(torch.ones(1, dtype=torch.bool), RATES | {"means": 1e-3})
    torch.testing.assert_close(params["means"].detach(), before - 1.1, rtol=1e-3, atol=1e-4)


def test_loaded_steps_count_for_the_table() -> None:
    params = leaves(rows(1))
    before = params["means"].detach().clone()
    optimizer = VisibleAdam(params)
    optimizer.load(optimizer.state() | {"steps.means": torch.tensor([50_000], dtype=torch.int32)})
    for param in params.values():
        param.grad = torch.ones_like(param)
    optimizer.step(torch.ones(1, dtype=torch.bool), RATES)
    uncorrected = before - RATES["means"] * 0.1 / 0.001**0.5
    torch.testing.assert_close(params["means"].detach(), uncorrected, rtol=1e-4, atol=1e-6)


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
