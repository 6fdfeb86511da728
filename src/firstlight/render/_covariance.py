"""Covariances and their inverses from rotations and scales."""

import torch
from torch import Tensor

from firstlight.render._errors import ShapeError
from firstlight.scene.rotation import quat_to_rotmat


def quat_scale_to_covar_preci(
    quats: Tensor,  # [..., 4]
    scales: Tensor,  # [..., 3]
    compute_covar: bool = True,
    compute_preci: bool = True,
    triu: bool = False,
) -> tuple[Tensor | None, Tensor | None]:
    """Covariance R diag(s²) Rᵀ and precision R diag(s⁻²) Rᵀ (Kerbl et al. 2023).

    ``quats`` are w first and of any length. Returns [..., 3, 3] each, or with ``triu`` the upper triangle
    [..., 6] row by row; None for what was not asked for. Written in torch alone, so it works in float64 and
    gradients flow to both inputs. ShapeError for shapes that do not fit.
    """
    batch = quats.shape[:-1]
    if quats.shape[-1:] != (4,) or scales.shape != (*batch, 3):
        raise ShapeError(
            f"expected quats [..., 4] and scales [..., 3], got {list(quats.shape)} and {list(scales.shape)}"
        )
    rotation = quat_to_rotmat(quats)
    covariance = _square(rotation * scales[..., None, :], triu) if compute_covar else None
    precision = _square(rotation / scales[..., None, :], triu) if compute_preci else None
    return covariance, precision


def _square(root: Tensor, triu: bool) -> Tensor:
    """root rootᵀ, whole or its upper triangle."""
    whole = root @ root.mT
    if not triu:
        return whole
    rows, columns = torch.triu_indices(3, 3)
    return whole[..., rows, columns]
