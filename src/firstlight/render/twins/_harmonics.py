"""Twin of spherical harmonics."""

import torch
from torch import Tensor

from firstlight.scene.sh import sh_basis


def spherical_harmonics(degree: int, dirs: Tensor, coeffs: Tensor) -> Tensor:
    """dirs [..., 3] of any length, coeffs [..., K, 3] → [..., 3]."""
    basis = sh_basis(torch.nn.functional.normalize(dirs, dim=-1), degree)
    return (basis[..., None] * coeffs[..., : basis.shape[-1], :]).sum(-2)
