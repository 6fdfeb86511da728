"""Similarities as a group, and their fit to points."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.scene import Similarity
from tests.scenes import random_rotation

SEEDS = st.integers(0, 2**20)


def similarity(seed: int) -> Similarity:
    generator = torch.Generator().manual_seed(seed)
    scale = float(torch.rand(1, generator=generator).double() * 3 + 0.2)
    return Similarity(scale, random_rotation(seed), torch.randn(3, dtype=torch.float64, generator=generator))


def some_points(seed: int, count: int = 10) -> torch.Tensor:
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(a=SEEDS, b=SEEDS, c=SEEDS)
def test_they_compose_like_maps_and_associate(a: int, b: int, c: int) -> None:
    f, g, h, x = similarity(a), similarity(b), similarity(c), some_points(a)
    torch.testing.assert_close((f @ g).apply(x), f.apply(g.apply(x)))
    torch.testing.assert_close(((f @ g) @ h).apply(x), (f @ (g @ h)).apply(x))
    torch.testing.assert_close((f @ Similarity.identity()).apply(x), f.apply(x))


@settings(deadline=None)
@given(seed=SEEDS)
def test_the_inverse_undoes(seed: int) -> None:
    f, x = similarity(seed), some_points(seed)
    torch.testing.assert_close(f.inverse().apply(f.apply(x)), x)
    torch.testing.assert_close(f.apply(f.inverse().apply(x)), x)


@settings(deadline=None)
@given(seed=SEEDS, count=st.integers(3, 20))
def test_alignment_finds_what_moved_the_points(seed: int, count: int) -> None:
    f, x = similarity(seed), some_points(seed + 1, count)
    found = Similarity.align(x, f.apply(x))
    assert found.scale == pytest.approx(f.scale)
    torch.testing.assert_close(found.rotation, f.rotation, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.translation, f.translation, rtol=0, atol=1e-6)


def test_alignment_never_mirrors() -> None:
    x = some_points(0)
    mirrored = x * torch.tensor([-1.0, 1, 1], dtype=torch.float64)
    assert torch.linalg.det(Similarity.align(x, mirrored).rotation).item() == pytest.approx(1)


def test_alignment_is_the_best_in_the_least_squares_sense() -> None:
    x, y = some_points(1, 30), some_points(2, 30)
    best = Similarity.align(x, y)

    def error(f: Similarity) -> float:
        return float((f.apply(x) - y).square().sum())

    for seed in range(40):
        step = similarity(seed)
        nudge = Similarity(1 + 0.01 * (step.scale - 1.5), torch.eye(3).double(), 0.01 * step.translation)
        turn = torch.matrix_exp(0.01 * (step.rotation - step.rotation.T))
        nudged = nudge @ Similarity(1.0, turn, torch.zeros(3).double()) @ best
        assert error(nudged) >= error(best)


@pytest.mark.parametrize(("source", "target"), [((2, 3), (2, 3)), ((5, 3), (4, 3)), ((5, 2), (5, 2))])
def test_alignment_refuses_what_is_no_pair_of_point_sets(
    source: tuple[int, ...], target: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="expected two"):
        Similarity.align(torch.rand(source), torch.rand(target))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("place", [(1.0, 1.0, 1.0), (0.1, 0.2, 0.3), (1 / 3, 1000 / 7, 5.1), (0.0, 0.0, 0.0)])
def test_alignment_refuses_points_in_one_place(place: tuple[float, ...], dtype: torch.dtype) -> None:
    rounded = torch.tensor([place] * 5, dtype=dtype)
    rounded[0] *= 1 + torch.finfo(dtype).eps
    with pytest.raises(ValueError, match="one place"):
        Similarity.align(rounded, torch.rand(5, 3))


def test_alignment_of_points_that_are_close_beside_where_they_lie() -> None:
    move, x = similarity(5), 1e-3 * some_points(3)
    far = x + torch.tensor([500123.0, 4649776.0, 120.0], dtype=torch.float64)
    assert Similarity.align(far, move.apply(x)).scale == pytest.approx(move.scale, rel=1e-4)
