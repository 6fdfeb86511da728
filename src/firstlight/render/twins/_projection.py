"""Twin of projection."""

import torch
from torch import Tensor

from firstlight.scene.rotation import quat_to_rotmat


def fully_fused_projection(
    means: Tensor,  # [N, 3]
    quats: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    viewmats: Tensor,  # [C, 4, 4]
    Ks: Tensor,  # [C, 3, 3]
    width: int,
    height: int,
    eps2d: float = 0.3,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    antialiased: bool = False,
    opacities: Tensor | None = None,  # [N]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """radii [C, N, 2], means2d, depths, conics and compensations; zeros where radii are 0."""
    W, t = viewmats[:, :3, :3], viewmats[:, :3, 3]
    points = torch.einsum("cij,nj->cni", W, means) + t[:, None]  # [C, N, 3]
    depths = points[..., 2]
    valid = (depths >= near_plane) & (depths <= far_plane)
    z = torch.where(valid, depths, 1.0)
    root = quat_to_rotmat(quats) * scales[:, None, :]
    world = root @ root.mT  # [N, 3, 3]
    camera = torch.einsum("cij,njk,clk->cnil", W, world, W)
    focal = torch.stack([Ks[:, 0, 0], Ks[:, 1, 1]], -1)[:, None]  # [C, 1, 2]
    center = Ks[:, None, :2, 2]  # [C, 1, 2]
    slopes = points[..., :2] / z[..., None]
    means2d = focal * slopes + center
    size = means.new_tensor([width, height])
    margin = 0.15 * size / focal
    near_slopes = torch.clamp(slopes, min=-center / focal - margin, max=(size - center) / focal + margin)
    zero = torch.zeros_like(z)
    J = torch.stack(
        [
            torch.stack([focal[..., 0] / z, zero, -focal[..., 0] * near_slopes[..., 0] / z], -1),
            torch.stack([zero, focal[..., 1] / z, -focal[..., 1] * near_slopes[..., 1] / z], -1),
        ],
        -2,
    )
    sharp = J @ camera @ J.mT  # [C, N, 2, 2]
    blurred = sharp + eps2d * torch.eye(2).to(means)
    sharp_det, det = torch.linalg.det(sharp), torch.linalg.det(blurred)
    valid = valid & (det > 0)
    compensations = (sharp_det / torch.where(valid, det, 1.0)).clamp(min=0).sqrt()
    safe = torch.where(valid[..., None, None], blurred, torch.eye(2).to(means))
    inverse = torch.linalg.inv(safe)
    conics = torch.stack([inverse[..., 0, 0], inverse[..., 0, 1], inverse[..., 1, 1]], -1)
    reach = torch.full_like(z, 3.33)
    if opacities is not None:
        seen = opacities * (compensations if antialiased else torch.ones_like(compensations))
        valid = valid & (seen >= 1 / 255)
        reach = reach.minimum((2 * torch.log((seen * 255).clamp(min=1))).sqrt())
    spread = torch.stack([safe[..., 0, 0], safe[..., 1, 1]], -1).sqrt()
    radii = torch.ceil(reach[..., None] * spread)
    valid = valid & (radii > radius_clip).any(-1)
    valid = valid & ((means2d + radii > 0) & (means2d - radii < size)).all(-1)
    keep = valid[..., None]
    return (
        torch.where(keep, radii, 0.0).to(torch.int32),
        torch.where(keep, means2d, 0.0),
        torch.where(valid, depths, 0.0),
        torch.where(keep, conics, 0.0),
        torch.where(valid, compensations, 0.0),
    )
