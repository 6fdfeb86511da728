"""Twin of the projection of surfels."""

import torch
from torch import Tensor

from firstlight.scene.rotation import quat_to_rotmat


def fully_fused_projection_2dgs(
    means: Tensor,  # [..., N, 3]
    quats: Tensor,  # [..., N, 4]
    scales: Tensor,  # [..., N, 3]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]
    width: int,
    height: int,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """radii [..., C, N, 2], means2d, depths, ray_transforms and normals; zeros where radii are 0."""
    W, t = viewmats[..., :3, :3], viewmats[..., :3, 3]
    centers = torch.einsum("...cij,...nj->...cni", W, means) + t[..., None, :]  # [..., C, N, 3]
    axes = torch.einsum("...cij,...njk->...cnik", W, quat_to_rotmat(quats))  # [..., C, N, 3, 3]
    tangents = axes[..., :2] * scales[..., None, :, None, :2]
    transforms = Ks[..., None, :, :] @ torch.cat([tangents, centers[..., None]], -1)
    normals = axes[..., 2]
    normals = torch.where((normals * centers).sum(-1, keepdim=True) < 0, normals, -normals)
    depths = centers[..., 2]
    valid = (depths > near_plane) & (depths < far_plane)
    # The dual conic of the unit circle, diag(1, 1, -1), carried over to the picture.
    dual = transforms @ transforms.new_tensor([1.0, 1.0, -1.0]).diag() @ transforms.mT
    divisor = dual[..., 2, 2]
    valid = valid & (divisor != 0)
    divisor = torch.where(valid, divisor, 1.0)
    means2d = dual[..., :2, 2] / divisor[..., None]
    squared = means2d**2 - dual.diagonal(dim1=-2, dim2=-1)[..., :2] / divisor[..., None]
    radii = torch.ceil(3.33 * squared.clamp(min=1e-4).sqrt())
    size = means.new_tensor([width, height])
    valid = valid & (radii > radius_clip).any(-1)
    valid = valid & ((means2d + radii > 0) & (means2d - radii < size)).all(-1)
    keep = valid[..., None]
    return (
        torch.where(keep, radii, 0.0).to(torch.int32),
        torch.where(keep, means2d, 0.0),
        torch.where(valid, depths, 0.0),
        torch.where(keep[..., None], transforms, 0.0),
        torch.where(keep, normals, 0.0),
    )
