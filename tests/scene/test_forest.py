"""Leaves of a forest as Gaussians."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from firstlight.scene.forest import Forest, waves
from tests.forests import random_forest

LEARNED = ("means", "logit_opacities", "branches", "roots")


def exactly(forest: Forest) -> Forest:
    def double(tensor: Tensor) -> Tensor:
        return tensor.double() if tensor.is_floating_point() else tensor

    return Forest.of({name: double(tensor) for name, tensor in forest.tensors().items()})


def test_gradients_are_those_of_finite_differences() -> None:
    forest = exactly(random_forest(6, 3, 2))

    def decoded(*learned: Tensor) -> tuple[Tensor, ...]:
        changed = replace(
            forest, **dict(zip(LEARNED, learned[:4], strict=True)), shape=learned[4:10], colour=learned[10:]
        )
        return tuple(changed.gaussians())

    learned = [getattr(forest, name) for name in LEARNED] + [*forest.shape, *forest.colour]
    assert torch.autograd.gradcheck(decoded, [tensor.requires_grad_() for tensor in learned])


def test_siblings_in_one_place_are_the_same_and_move_with_their_tree() -> None:
    forest = random_forest()
    forest.branch[:2] = 7
    forest.means[1] = forest.means[0]
    made = forest.gaussians()
    for tensor in (made.quats, made.log_scales, made.sh):
        assert torch.equal(tensor[0], tensor[1]) and not torch.equal(tensor[0], tensor[2])
    shift, root = torch.tensor([1.0, 2.0, -4.0]), int(forest.root[7])
    moved = replace(forest, means=forest.means + shift, places=forest.places + shift).gaussians()
    torch.testing.assert_close(moved.log_scales, made.log_scales, rtol=1e-3, atol=1e-3)
    larger = forest.units.clone()
    larger[root] *= 2
    away = forest.means - forest.places[forest.root[forest.branch]]
    of_tree = forest.root[forest.branch] == root
    means = torch.where(of_tree[:, None], forest.means + away, forest.means)
    grown = replace(forest, means=means, units=larger).gaussians()
    expected = made.log_scales + torch.log(torch.tensor(2.0)) * of_tree[:, None]
    torch.testing.assert_close(grown.log_scales, expected, rtol=1e-3, atol=1e-3)


def test_waves_tell_places_apart_by_octaves() -> None:
    place = torch.tensor([[0.3, -0.2, 0.9]])
    told = waves(place)[0]
    assert torch.equal(told[:3], place[0])
    torch.testing.assert_close(told[3 + 3 : 3 + 6], (2 * place[0]).sin())
    torch.testing.assert_close(told[3 + 9 + 6 :], (4 * place[0]).cos())
