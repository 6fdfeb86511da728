"""Fixtures of the fit's tests."""

from collections.abc import Iterator

import numba
import pytest


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Many tiny kernel calls: waking a second thread for each costs far more than it brings."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)
