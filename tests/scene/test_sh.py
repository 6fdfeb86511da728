"""Spherical harmonics, against scipy's and against the meaning of turning a function."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from firstlight.scene.sh import rgb_to_sh, rotate_sh, sh_basis, sh_count, sh_degree, sh_to_rgb
from tests.scenes import random_rotation


def directions(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(
        torch.randn(count, 3, dtype=torch.float64, generator=generator), dim=-1
    )


@pytest.mark.parametrize("degree", range(5))
def test_basis_is_that_of_scipy_made_real(degree: int) -> None:
    """√2 times the real (order > 0) or imaginary (order < 0) part; scipy's sign is that of 3DGS."""
    d = directions(200)
    x, y, z = d.numpy().T
    polar, azimuth = np.arccos(z), np.arctan2(y, x)
    columns = []
    for level in range(degree + 1):
        for order in range(-level, level + 1):
            value = sph_harm_y(level, abs(order), polar, azimuth)
            if order == 0:
                columns.append(value.real)
            else:
                columns.append(np.sqrt(2) * (value.real if order > 0 else value.imag))
    np.testing.assert_allclose(sh_basis(d, degree), np.stack(columns, -1), atol=1e-12)


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("seed", range(5))
def test_turned_coefficients_are_the_turned_function(degree: int, seed: int) -> None:
    sh = torch.randn(7, sh_count(degree), 3, dtype=torch.float64)
    rotation, d = random_rotation(seed), directions(50, seed)
    turned = torch.einsum("dk,nkc->ndc", sh_basis(d @ rotation.T, degree), rotate_sh(sh, rotation))
    torch.testing.assert_close(turned, torch.einsum("dk,nkc->ndc", sh_basis(d, degree), sh))


def test_turns_compose_and_keep_lengths_of_each_degree() -> None:
    sh = torch.randn(4, 25, 3, dtype=torch.float64)
    a, b = random_rotation(1), random_rotation(2)
    torch.testing.assert_close(rotate_sh(rotate_sh(sh, b), a), rotate_sh(sh, a @ b))
    turned = rotate_sh(sh, a)
    for degree in range(5):
        rows = slice(degree**2, sh_count(degree))
        torch.testing.assert_close(turned[:, rows].norm(dim=1), sh[:, rows].norm(dim=1))


def test_float32_coefficients_stay_float32() -> None:
    assert rotate_sh(torch.randn(2, 16, 3), random_rotation()).dtype == torch.float32


def test_colours_and_their_coefficients() -> None:
    rgb = torch.rand(10, 3, dtype=torch.float64)
    torch.testing.assert_close(sh_to_rgb(rgb_to_sh(rgb)), rgb)
    constant = sh_basis(directions(10), 0)
    torch.testing.assert_close(constant * rgb_to_sh(rgb) + 0.5, rgb)


def test_counts_that_are_no_square_are_refused() -> None:
    assert [sh_degree(sh_count(degree)) for degree in range(5)] == list(range(5))
    for count in (0, 2, 3, 15, 24, 36):
        with pytest.raises(ValueError, match="expected 1, 4, 9, 16 or 25"):
            sh_degree(count)
