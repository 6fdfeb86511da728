"""The eight-float value of the kernels, against numpy."""

from typing import Any

import numba
import numpy as np
import pytest

from firstlight.render._simd import (
    any_lane,
    at_least,
    at_most,
    lanes,
    load,
    magnitude,
    select,
    splat,
    store,
    total,
    totals,
)


@numba.njit
def _arithmetic(a: Any, b: Any, out: Any) -> None:
    x, y = load(a, 0), load(b, 0)
    store(out, 0, x + y)
    store(out, 8, x - y)
    store(out, 16, x * y)
    store(out, 24, x / y)
    store(out, 32, at_least(x, y))
    store(out, 40, at_most(x, y))
    store(out, 48, select(x < y, x, splat(np.float32(7.0))))
    store(out, 56, select(x >= y, lanes(), y))
    store(out, 64, magnitude(x))
    out[72] = total(x)
    out[73] = any_lane(x < y)
    out[74] = any_lane(x < splat(np.float32(-100.0)))


@numba.njit
def _totals(a: Any, out: Any) -> None:
    sums = totals(
        load(a, 0), load(a, 8), load(a, 16), load(a, 24), load(a, 32), load(a, 40), load(a, 48), load(a, 56)
    )
    store(out, 1, sums)  # unaligned on purpose


def test_operations_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=8).astype(np.float32), rng.normal(size=8).astype(np.float32)
    out = np.zeros(75, np.float32)
    _arithmetic(a, b, out)
    rows = [
        a + b, a - b, a * b, a / b, np.maximum(a, b), np.minimum(a, b), np.where(a < b, a, 7.0),
        np.where(a >= b, np.arange(8.0), b), np.abs(a),
    ]  # fmt: skip
    np.testing.assert_allclose(out[:72].reshape(9, 8), np.stack(rows), rtol=1e-6)
    assert out[72] == pytest.approx(a.sum(), rel=1e-5)
    assert out[73] == (a < b).any()
    assert out[74] == 0


def test_limits_win_over_what_is_not_a_number() -> None:
    a, b = np.full(8, np.nan, np.float32), np.arange(8, dtype=np.float32)
    out = np.zeros(75, np.float32)
    _arithmetic(a, b, out)
    np.testing.assert_array_equal(out[32:40], b)
    np.testing.assert_array_equal(out[40:48], b)


def test_totals_of_eight_vectors_keep_their_order() -> None:
    a = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)
    out = np.zeros(10, np.float32)
    _totals(a.reshape(-1), out)
    np.testing.assert_allclose(out[1:9], a.sum(1), rtol=1e-5, atol=1e-6)
    assert out[0] == out[9] == 0
