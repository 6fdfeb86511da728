"""A fit of parameters that Gaussians are decoded from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.density import Fixed, Refinement, Vanilla
from firstlight.fitting import DecodedModel, Fit, Recipe, fit_gaussians
from firstlight.fitting._adam import VisibleAdam
from firstlight.fitting._network_adam import NetworkAdam
from firstlight.fitting.model import leaves, under
from firstlight.recipes import get_recipe
from firstlight.scene import Capture, Gaussians, Split
from firstlight.starts import RandomBox
from tests.scenes import random_gaussians

TRAIN = [0, 1, 2]


class Shifted(DecodedModel):
    """Fixed Gaussians, all moved by one learned vector and with learned rows of opacity."""

    def __init__(self, base: Gaussians, shift: Tensor, logits: Tensor) -> None:
        super().__init__()
        self.base = base
        self.shift, self.logits = (tensor.detach().clone().requires_grad_() for tensor in (shift, logits))
        self.rows = VisibleAdam({"logit_opacities": self.logits})
        self.network = NetworkAdam({"shift": self.shift})

    def parameters(self) -> dict[str, Tensor]:
        return {"shift": self.shift, "logits": self.logits}

    def decode(self) -> Gaussians:
        return replace(self.base, means=self.base.means + self.shift, logit_opacities=self.logits)

    def update(self, visible: Tensor, rates: dict[str, float]) -> None:
        self.rows.step(visible, rates)
        self.network.step(rates["network"])

    def state(self) -> dict[str, Tensor]:
        return {
            **{f"base.{name}": tensor for name, tensor in self.base.tensors().items()},
            **{name: tensor.detach() for name, tensor in self.parameters().items()},
            **{f"rows.{name}": tensor for name, tensor in self.rows.state().items()},
            **{f"network.{name}": tensor for name, tensor in self.network.state().items()},
        }


@dataclass(frozen=True)
class Shift:
    """The representation of ``Shifted``."""

    after: float = 0.0

    def limited(self, most: int) -> Shift:
        return self

    def begin(self, gaussians: Gaussians, capture: Capture, now: Refinement) -> Shifted:
        assert len(capture) == len(now.views) == len(TRAIN)
        return Shifted(gaussians, torch.zeros(3), gaussians.logit_opacities)

    def restore(self, state: dict[str, Tensor], capture: Capture) -> Shifted:
        model = Shifted(Gaussians(**under("base.", state)), state["shift"], state["logits"])
        model.rows.load(under("rows.", state))
        model.network.load(under("network.", state))
        return model


@pytest.fixture(scope="module")
def capture() -> Capture:
    return pipeline.prepare(load_demo(with_cameras=True), 64)


def recipe(after: float = 0.0) -> Recipe:
    return replace(
        get_recipe("vanilla"),
        start=RandomBox(300),
        density=Fixed(),
        representation=Shift(after),
        steps=12,
        sh_degree=0,
    )


def test_gradients_reach_the_parameters_as_if_the_graph_had_not_been_cut() -> None:
    base, towards = random_gaussians(7, 0), torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    model = Shifted(base, torch.tensor([0.1, 0.2, 0.3]), base.logit_opacities)

    def loss(gaussians: Gaussians) -> Tensor:
        return (gaussians.means * towards).sin().sum() + (gaussians.opacities**2).sum()

    parameters = list(model.parameters().values())
    direct = torch.autograd.grad(loss(model.decode()), parameters)
    model.zero_grad()
    torch.autograd.backward(loss(model.gaussians))
    torch.autograd.backward(loss(model.gaussians))  # from elsewhere, say: both count
    before = [parameter.detach().clone() for parameter in parameters]
    rates = {"logit_opacities": 1.0, "network": 0.5}
    model.step(torch.ones(7, dtype=torch.bool), rates)
    for parameter, gradient in zip(parameters, direct, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient)
    # The first step of Adam goes by the rate, against the sign.
    for parameter, start, gradient, rate in zip(parameters, before, direct, (0.5, 1.0), strict=True):
        torch.testing.assert_close(parameter.detach(), start - rate * gradient.sign())
    torch.testing.assert_close(model.gaussians.means.detach(), base.means + model.shift.detach())


def test_a_gradient_that_is_not_finite_spoils_nothing() -> None:
    model = Shifted(random_gaussians(5, 0), torch.zeros(3), torch.zeros(5))
    model.zero_grad()
    factor = torch.ones(5, 3)
    factor[2, 0] = torch.inf
    torch.autograd.backward((model.gaussians.means * factor).sum() + model.gaussians.opacities.sum())
    model.step(torch.ones(5, dtype=torch.bool), {"logit_opacities": 1.0, "network": 0.1})
    assert model.shift.isfinite().all() and (model.shift != 0).all()


def test_leaves_are_new_tensors_of_the_same_values() -> None:
    base = random_gaussians(3)
    cut = leaves(base)
    assert all(tensor.is_leaf and tensor.requires_grad for tensor in cut)
    assert all(torch.equal(a.detach(), b) for a, b in zip(cut, base, strict=True))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("after", [0.0, 0.5])
def test_gaussians_are_represented_from_the_step_that_the_recipe_says(capture: Capture, after: float) -> None:
    fit = Fit(capture, recipe(after), TRAIN, seed=0)
    fit.begin()
    kinds = [isinstance(fit.model, Shifted)]
    for _ in range(12):
        fit.step()
        kinds.append(isinstance(fit.model, Shifted))
    assert kinds == [done >= 12 * after for done in range(13)]
    assert isinstance(fit.model, Shifted)
    assert (fit.model.shift.detach() != 0).all()
    torch.testing.assert_close(fit.model.gaussians.means, fit.model.base.means + fit.model.shift)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("stop", [4, 8])
def test_a_resumed_fit_is_the_unbroken_one(capture: Capture, stop: int) -> None:
    whole = fit_gaussians(capture, recipe(0.5), Split(TRAIN, []))
    first = Fit(capture, recipe(0.5), TRAIN, seed=0)
    first.begin()
    for _ in range(stop):
        first.step()
    second = Fit(capture, recipe(0.5), TRAIN, seed=0)
    second.restore(stop, {name: tensor.clone() for name, tensor in first.state().items()})
    for _ in range(12 - stop):
        second.step()
    assert all(torch.equal(a, b) for a, b in zip(whole.gaussians, second.model.gaussians, strict=True))
    assert isinstance(whole.model, Shifted)


def test_a_budget_reaches_the_representation() -> None:
    @dataclass(frozen=True)
    class Budgeted(Shift):
        most: int = 0

        def limited(self, most: int) -> Budgeted:
            return replace(self, most=most)

    limited = replace(recipe(), density=Vanilla(), representation=Budgeted()).limited(99)
    assert isinstance(limited.representation, Budgeted) and limited.representation.most == 99
