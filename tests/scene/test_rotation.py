"""Quaternions and matrices, against scipy."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from firstlight.scene.rotation import quat_multiply, quat_to_rotmat, rotmat_to_quat


def quats(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(seed=st.integers(0, 2**20))
def test_matrices_are_those_of_scipy(seed: int) -> None:
    q = quats(8, seed)
    expected = Rotation.from_quat(q.roll(-1, dims=1).numpy()).as_matrix()  # scipy has w last
    np.testing.assert_allclose(quat_to_rotmat(q), expected, atol=1e-12)
    np.testing.assert_allclose(quat_to_rotmat(7.5 * q), expected, atol=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 2**20))
def test_there_and_back(seed: int) -> None:
    q = torch.nn.functional.normalize(quats(8, seed), dim=-1)
    back = rotmat_to_quat(quat_to_rotmat(q))
    torch.testing.assert_close(back, q * q[:, :1].sign())


def test_half_turns_have_a_quaternion_too() -> None:
    """Where w is 0 the usual formula divides by it."""
    axes = torch.nn.functional.normalize(torch.cat([torch.eye(3), torch.randn(20, 3)]).double(), dim=-1)
    turns = 2 * axes[:, :, None] * axes[:, None, :] - torch.eye(3, dtype=torch.float64)
    q = rotmat_to_quat(turns)
    torch.testing.assert_close(quat_to_rotmat(q), turns)
    torch.testing.assert_close(q.norm(dim=-1), torch.ones(23, dtype=torch.float64))


def test_products_are_one_turn_after_the_other() -> None:
    a, b = quats(20, 1), quats(20, 2)
    torch.testing.assert_close(quat_to_rotmat(quat_multiply(a, b)), quat_to_rotmat(a) @ quat_to_rotmat(b))
