"""Twin of blending in space."""

from collections.abc import Callable

import torch
from torch import Tensor

from firstlight.render.twins._blend import blend_alphas
from firstlight.scene.rotation import quat_to_rotmat


def blend_in_space(
    means: Tensor,  # [S, 3] front to back
    quats: Tensor,  # [S, 4]
    scales: Tensor,  # [S, 3]
    colors: Tensor,  # [S, D]
    opacities: Tensor,  # [S]
    origins: Tensor,  # [P, 3]
    directions: Tensor,  # [P, 3], zeros where there is no ray
    background: Tensor | None = None,  # [D]
    listed: Tensor | None = None,  # [P, S] which splats count at which pixels
    exp: Callable[[Tensor], Tensor] = torch.exp,
) -> tuple[Tensor, Tensor]:
    """Colours [P, D] and alphas [P] of all splats over all given rays, with no early stop."""
    whiten = (quat_to_rotmat(quats) / scales[:, None, :]).mT  # [S, 3, 3]
    o = torch.einsum("sij,psj->psi", whiten, origins[:, None] - means)
    d = torch.einsum("sij,pj->psi", whiten, directions)
    d = torch.nn.functional.normalize(d, dim=-1)
    power = 0.5 * torch.linalg.cross(d, o).square().sum(-1)
    there = (d * o).sum(-1) < 0  # the strongest point lies before the camera
    if listed is not None:
        there = there & listed
    return blend_alphas(torch.where(there, opacities * exp(-power), 0.0), colors, background)
