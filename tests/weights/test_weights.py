"""Starts of networks: signals keep their strength through depth, and closed forms come out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from firstlight.weights import lsuv_, orthogonal_, vi3nr_, vi3nr_gain, vi3nr_sigma


class Act(nn.Module):
    """An activation as a module."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def tower(function, depth: int, width: int = 128) -> nn.Sequential:
    parts = [part for _ in range(depth) for part in (nn.Linear(width, width), Act(function))]
    return nn.Sequential(*parts[:-1]).double()


def stds(net: nn.Sequential, x: Tensor) -> list[float]:
    """Of what each layer gives out."""
    found = []
    with torch.no_grad():
        for part in net:
            x = part(x)
            if isinstance(part, nn.Linear):
                found.append(float(x.square().mean().sqrt()))
    return found


def batch(rows: int = 256, width: int = 128, seed: int = 0) -> Tensor:
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gaussian(s: float):
    return lambda x: torch.exp(-x.square() / (2 * s * s))


@pytest.mark.parametrize("layer", [nn.Linear(6, 9), nn.Linear(9, 6), nn.Conv2d(4, 7, 3), nn.Conv1d(1, 8, 3)])
def test_orthogonal_weights_are_orthogonal_and_have_one_variance(layer: nn.Module) -> None:
    layer = layer.double()
    assert isinstance(layer.weight, Tensor)
    orthogonal_(layer, gain=1.5, generator=torch.Generator().manual_seed(0))
    matrix = layer.weight.detach().flatten(1)
    out, inputs = matrix.shape
    gram = matrix @ matrix.T if out <= inputs else matrix.T @ matrix
    torch.testing.assert_close(gram, 1.5**2 * max(1.0, out / inputs) * torch.eye(len(gram)).double())
    assert float(matrix.square().mean()) == pytest.approx(1.5**2 / inputs)
    assert isinstance(layer.bias, Tensor) and not layer.bias.any()


def test_orthogonal_relu_tower_keeps_its_mean_square_where_torchs_own_start_loses_it() -> None:
    x = batch()
    torch.manual_seed(0)
    net = tower(torch.relu, 30)
    assert stds(net, x)[-1] < 0.1  # biases are all that is left
    orthogonal_(net, math.sqrt(2), torch.Generator().manual_seed(0))
    found = stds(net, x)
    assert 0.5 < found[-1] / found[0] < 2


@pytest.mark.parametrize("function", [torch.relu, torch.tanh, torch.sin])
def test_lsuv_gives_each_layer_unit_variance_on_its_batch_and_on_another(function) -> None:
    net = tower(function, 20)
    assert lsuv_(net, batch(), generator=torch.Generator().manual_seed(0)) == []
    for other, low, high in ((batch(), 0.9, 1.1), (batch(seed=5), 0.8, 1.25)):
        with torch.no_grad():
            x = other
            for part in net:
                x = part(x)
                if isinstance(part, nn.Linear):
                    assert low <= float(x.std()) <= high


@pytest.mark.parametrize("center", [False, True])
def test_activations_in_place_change_nothing(center: bool) -> None:
    def of(inplace: bool) -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(16, 32), nn.ReLU(inplace=inplace), nn.Linear(32, 4))

    plain, inplace = of(False), of(True)
    for net in (plain, inplace):
        x = torch.randn(64, 16, generator=torch.Generator().manual_seed(1))
        lsuv_(net, x, center=center, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), inplace.parameters(), strict=True))
    assert vi3nr_sigma(nn.ReLU(inplace=True)) == vi3nr_sigma(torch.relu)


class Odd(nn.Module):
    """Layers are registered in another order than they are called in; one is used twice, one never."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, 3)
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.twice = nn.Linear(8, 8)
        self.idle = nn.Linear(2, 2)

    def forward(self, x):
        y = self.norm(self.first(x)).mean((2, 3))
        return self.last(torch.relu(self.twice(torch.relu(self.twice(y)))))


def test_lsuv_goes_by_the_order_of_calls_and_leaves_buffers_and_mode_alone() -> None:
    torch.manual_seed(1)
    net, x = Odd().double(), 7 * torch.randn(64, 2, 6, 6, dtype=torch.float64)
    net.train()
    net.last.eval()
    before = {name: tensor.clone() for name, tensor in net.named_buffers()}
    lsuv_(net, x, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.named_buffers())
    assert net.training and net.norm.training and not net.last.training
    net.eval()
    with torch.no_grad():
        assert 0.9 <= float(net.first(x).std()) <= 1.1 and 0.9 <= float(net(x).std()) <= 1.1
    torch.testing.assert_close(net.idle.weight @ net.idle.weight.T, torch.eye(2).double())


def test_centred_units_are_neither_always_on_nor_always_off() -> None:
    torch.manual_seed(2)
    positive = 3 + 0.1 * batch(200, 40).abs()
    net = nn.Sequential(nn.Linear(40, 16), nn.ReLU(), nn.Linear(16, 1)).double()

    def idle() -> int:
        with torch.no_grad():
            on = (net[0](positive) > 0).double().mean(0)
        return int(((on < 0.05) | (on > 0.95)).sum())

    lsuv_(net, positive, generator=torch.Generator().manual_seed(0))
    assert idle() > 8
    lsuv_(net, positive, center=True, generator=torch.Generator().manual_seed(0))
    assert idle() == 0
    with torch.no_grad():
        assert 0.9 <= float(net[0](positive).std()) <= 1.1 and 0.9 <= float(net(positive).std()) <= 1.1
    picture = nn.Conv2d(3, 5, 3).double()
    lsuv_(picture, 1 + torch.rand(4, 3, 8, 8).double(), center=True)
    with torch.no_grad():
        assert picture(1 + torch.rand(4, 3, 8, 8).double()).mean((0, 2, 3)).abs().max() < 0.5


def test_lsuv_names_dead_layers() -> None:
    net = nn.Sequential(nn.Linear(4, 4), Act(lambda x: 0 * x), nn.Linear(4, 4)).double()
    assert lsuv_(net, batch(32, 4)) == ["2"]


@pytest.mark.parametrize("value", [0.1, 7.3, 100.3])
@pytest.mark.parametrize("center", [False, True])
def test_lsuv_does_not_blow_up_the_rounding_of_outputs_that_are_all_the_same(
    value: float, center: bool
) -> None:
    wide = [(nn.Linear(33, 64), torch.full((192, 33), value))] if center else []  # each channel its own mean
    for net, x in (
        (nn.Linear(3, 1), torch.full((1000, 3), value)),
        (nn.Conv2d(3, 1, 3), torch.full((4, 3, 16, 16), value)),
        *wide,
    ):
        assert lsuv_(net, x, center=center, generator=torch.Generator().manual_seed(0)) == [""]
        assert isinstance(net.weight, Tensor) and float(net.weight.detach().abs().max()) < 10


@pytest.mark.parametrize("scale", [1e-12, 1e9])
def test_lsuv_takes_a_batch_in_any_unit(scale: float) -> None:
    net, x = tower(torch.tanh, 2, 8), scale * batch(100, 8)
    assert lsuv_(net, x, generator=torch.Generator().manual_seed(0)) == []
    with torch.no_grad():
        assert 0.9 <= float(net(x).std()) <= 1.1


@pytest.mark.parametrize("x", [torch.full((8, 4), torch.nan), torch.ones(1, 4), torch.ones(0, 4)])
def test_lsuv_refuses_a_batch_that_says_nothing(x: Tensor) -> None:
    net = nn.Sequential(nn.Linear(4, 1), nn.ReLU(), nn.Linear(1, 1)).train()
    with pytest.raises(ValueError, match="layer '0'"):
        lsuv_(net, x)
    assert net.training


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("sides", [(0, 3), (3, 0)])
def test_layers_without_inputs_or_outputs_have_nothing_to_fill(sides: tuple[int, int]) -> None:
    empty, full = nn.Linear(*sides), nn.Linear(4, 4)
    for start in (orthogonal_, lambda net: vi3nr_(net, torch.tanh)):
        start(nn.Sequential(empty, full))
        assert not empty.bias.detach().any() and full.weight.detach().any()


def test_vi3nr_closed_forms() -> None:
    assert vi3nr_gain(torch.relu) ** 2 == pytest.approx(2, rel=1e-6)
    assert vi3nr_gain(torch.tanh) ** 2 == pytest.approx(2.54, abs=0.01)
    assert vi3nr_gain(torch.sigmoid) ** 2 == pytest.approx(3.41, abs=0.01)
    s = 0.05
    sigma = s * (1 + math.sqrt(2)) ** 0.5
    assert vi3nr_sigma(gaussian(s)) == pytest.approx(sigma, rel=0.01)
    assert vi3nr_gain(gaussian(s), sigma) ** 2 == pytest.approx((1 + math.sqrt(2)) ** 2 * s**2, rel=1e-4)
    assert vi3nr_sigma(torch.relu) == pytest.approx(1, rel=0.01)  # any would do


@pytest.mark.parametrize("function", [torch.tanh, gaussian(0.5)])
def test_vi3nr_holds_signals_and_gradients_through_forty_layers(function) -> None:
    net, x = tower(function, 40), 3 * batch()
    sigma = 0.3 if function is torch.tanh else None
    vi3nr_(net, function, sigma, data=x, generator=torch.Generator().manual_seed(0))
    found = stds(net, x)
    wanted = sigma or vi3nr_sigma(function)
    assert all(abs(one / wanted - 1) < 0.35 for one in found)
    if sigma is None:
        early = net[:3](x).detach().requires_grad_()
        direction = batch(seed=9)  # one for each sample, so that nothing adds up over them
        (gradient,) = torch.autograd.grad((net[3:](early) * direction).sum(), early)
        assert 0.3 < float(gradient.square().mean().sqrt()) < 3  # with tanh at σ = 1 it is above 20


def test_vi3nr_finds_its_way_around_a_dead_zone() -> None:
    shrink = nn.Softshrink(0.5)
    sigma = vi3nr_sigma(shrink)
    assert 0.1 < sigma <= 10 and math.isfinite(vi3nr_gain(shrink, sigma))
    with pytest.raises(ValueError, match="Softshrink"):
        vi3nr_gain(shrink, 1e-3)
    with pytest.raises(ValueError, match="zeros_like"):
        vi3nr_gain(torch.zeros_like)
    with pytest.raises(ValueError, match="Hardshrink"):
        vi3nr_sigma(nn.Hardshrink(1e9))


@pytest.mark.parametrize("scale", [1e-9, 0.0])
def test_vi3nr_scales_tiny_data_too_and_takes_zeros_for_ones(scale: float) -> None:
    net = tower(torch.tanh, 2)
    vi3nr_(net, torch.tanh, 0.3, data=scale * batch(seed=5), generator=torch.Generator().manual_seed(0))
    assert stds(net, (scale or 1) * batch(seed=5))[0] == pytest.approx(0.3, rel=0.1)
