"""Terms on depth maps: what costs nothing, what costs how much, and their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from firstlight.losses import depth_correlation, depth_smoothness


def photo_with_edge() -> Tensor:
    """Black on the left, white on the right."""
    photo = torch.zeros(20, 24, 3, dtype=torch.uint8)
    photo[:, 12:] = 255
    return photo


def step_at(column: int) -> Tensor:
    depth = torch.full((20, 24), 2.0, dtype=torch.float64)
    depth[:, column:] = 3.0
    return depth


def test_depth_may_jump_where_the_photo_does() -> None:
    photo = photo_with_edge()
    assert float(depth_smoothness(step_at(12), photo)) < 0.2 * float(depth_smoothness(step_at(5), photo))
    flat = torch.full((20, 24), 2.0, dtype=torch.float64)
    assert float(depth_smoothness(flat, photo)) < 1e-12


def test_smoothness_has_no_unit_and_ignores_what_is_empty_or_masked() -> None:
    photo = photo_with_edge()
    once, thrice = (float(depth_smoothness(scale * step_at(5), photo)) for scale in (1.0, 3.0))
    assert once == pytest.approx(thrice)
    empty = step_at(5)
    empty[:, 5:] = 0
    assert float(depth_smoothness(empty, photo)) < 1e-12
    assert float(depth_smoothness(empty * 0, photo)) == 0
    hidden = torch.full((20, 24), 255, dtype=torch.uint8)
    hidden[:, 4:6] = 0
    assert float(depth_smoothness(step_at(5), photo, hidden)) < 1e-12


def test_correlation_knows_neither_scale_nor_offset() -> None:
    generator = torch.Generator().manual_seed(0)
    depth = 1 + torch.rand(9, 11, generator=generator, dtype=torch.float64)
    assert float(depth_correlation(depth, 5 * depth + 2)) == pytest.approx(0, abs=1e-9)
    assert float(depth_correlation(depth, 4 - depth)) == pytest.approx(2, abs=1e-9)
    other = 1 + torch.rand(9, 11, generator=generator, dtype=torch.float64)
    assert 0.5 < float(depth_correlation(depth, other)) < 1.5


def test_what_is_all_but_flat_has_no_steep_gradient() -> None:
    noise = torch.randn(9, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    known = 2 + noise.flip(0)
    steep = []
    for size in (1e-2, 1e-4, 1e-6, 1e-9):
        depth = (2 + size * noise).requires_grad_()
        (slope,) = torch.autograd.grad(depth_correlation(depth, known), depth)
        steep.append(float(slope.norm()))
    assert max(steep) < 1e6
    assert float(depth_correlation(2 + 1e-9 * known, known)) == pytest.approx(1, abs=0.01)
    assert float(depth_correlation(2 + 1e-3 * known, known)) == pytest.approx(0, abs=1e-6)


def test_correlation_of_too_little_costs_nothing() -> None:
    depth = 1 + torch.rand(9, 11, generator=torch.Generator().manual_seed(0))
    few = torch.zeros(9, 11)
    few[0, :5] = depth[0, :5]
    assert depth_correlation(depth, few) == 0
    assert depth_correlation(depth, torch.ones(9, 11)) == 0
    assert depth_correlation(depth, 2 - depth, torch.zeros(9, 11, dtype=torch.uint8)) == 0


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    depth = (1 + torch.rand(7, 8, generator=generator, dtype=torch.float64)).requires_grad_()
    known = 1 + torch.rand(7, 8, generator=generator, dtype=torch.float64)
    known[2, 3:6] = 0
    photo = torch.randint(0, 256, (7, 8, 3), generator=generator, dtype=torch.uint8) // 16 + 100
    # The median that smoothness divides by is a unit, not something to learn.
    unit = depth.detach().median()
    assert torch.autograd.gradcheck(lambda d: depth_correlation(d, known), [depth])
    pinned = depth_smoothness(depth, photo)
    (slope,) = torch.autograd.grad(pinned, depth)
    step = 1e-6
    for row, column in ((0, 0), (3, 4), (6, 7)):
        ahead, behind = depth.detach().clone(), depth.detach().clone()
        ahead[row, column] += step
        behind[row, column] -= step
        if ahead.median() != unit or behind.median() != unit:
            continue
        finite = (depth_smoothness(ahead, photo) - depth_smoothness(behind, photo)) / (2 * step)
        torch.testing.assert_close(slope[row, column], finite, rtol=1e-5, atol=1e-9)
