"""Twin of projection."""

import math

import torch
from torch import Tensor

from firstlight.scene.rotation import quat_to_rotmat


def fully_fused_projection(
    means: Tensor,  # [..., N, 3]
    quats: Tensor | None,  # [..., N, 4]
    scales: Tensor | None,  # [..., N, 3]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]
    width: int,
    height: int,
    eps2d: float = 0.3,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    antialiased: bool = False,
    opacities: Tensor | None = None,  # [..., N]
    camera_model: str = "pinhole",
    covars: Tensor | None = None,  # [..., N, 3, 3]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """radii [..., C, N, 2], means2d, depths, conics and compensations; zeros where radii are 0."""
    W, t = viewmats[..., :3, :3], viewmats[..., :3, 3]
    points = torch.einsum("...cij,...nj->...cni", W, means) + t[..., None, :]  # [..., C, N, 3]
    depths = points.norm(dim=-1) if camera_model == "equirectangular" else points[..., 2]
    valid = (depths >= near_plane) & (depths <= far_plane)
    # What is not seen moves to where every lens has a derivative: the axis itself is none for a fisheye.
    points = torch.where(valid[..., None], points, points.new_tensor([0.1, 0.1, 1.0]))
    if covars is None:
        assert quats is not None
        assert scales is not None
        root = quat_to_rotmat(quats) * scales[..., None, :]
        covars = root @ root.mT  # [..., N, 3, 3]
    camera = torch.einsum("...cij,...njk,...clk->...cnil", W, covars, W)
    size = means.new_tensor([width, height])
    means2d, J = _lens(points, Ks, size, camera_model)
    sharp = J @ camera @ J.mT  # [..., C, N, 2, 2]
    blurred = sharp + eps2d * torch.eye(2).to(means)
    sharp_det, det = torch.linalg.det(sharp), torch.linalg.det(blurred)
    valid = valid & (det > 0)
    compensations = (sharp_det / torch.where(valid, det, 1.0)).clamp(min=0).sqrt()
    safe = torch.where(valid[..., None, None], blurred, torch.eye(2).to(means))
    inverse = torch.linalg.inv(safe)
    conics = torch.stack([inverse[..., 0, 0], inverse[..., 0, 1], inverse[..., 1, 1]], -1)
    reach = torch.full_like(det, 3.33)
    if opacities is not None:
        seen = opacities[..., None, :] * (compensations if antialiased else torch.ones_like(compensations))
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


def _lens(points: Tensor, Ks: Tensor, size: Tensor, camera_model: str) -> tuple[Tensor, Tensor]:
    """Pixels [..., C, N, 2] of points in camera axes [..., C, N, 3], and their derivative [..., 2, 3]."""
    focal = torch.stack([Ks[..., 0, 0], Ks[..., 1, 1]], -1)[..., None, :].expand_as(points[..., :2])
    center = Ks[..., None, :2, 2].expand_as(focal)
    rays = points.reshape(-1, 3)
    lens = focal.reshape(-1, 2), center.reshape(-1, 2), size.expand(len(rays), 2)

    def pixel(ray: Tensor, focal: Tensor, center: Tensor, size: Tensor) -> Tensor:
        return pixels_of(ray, focal, center, size, camera_model)

    pixels = torch.func.vmap(pixel)(rays, *lens)
    J = torch.func.vmap(torch.func.jacrev(pixel))(rays, *lens)
    if camera_model == "pinhole":
        # A Gaussian's shape is linearised no further out than 15 % of the picture past its border.
        margin = 0.15 * size / focal
        slopes = torch.clamp(
            points[..., :2] / points[..., 2:],
            min=-center / focal - margin,
            max=(size - center) / focal + margin,
        )
        held = torch.cat([slopes * points[..., 2:], points[..., 2:]], -1)
        J = torch.func.vmap(torch.func.jacrev(pixel))(held.reshape(-1, 3), *lens)
    shape = points.shape[:-1]
    return pixels.view(*shape, 2), J.view(*shape, 2, 3)


def pixels_of(rays: Tensor, focal: Tensor, center: Tensor, size: Tensor, camera_model: str) -> Tensor:
    """Where points in camera axes [..., 3] fall in the picture [..., 2]."""
    x, y, z = rays.unbind(-1)
    if camera_model == "pinhole":
        return focal * rays[..., :2] / z[..., None] + center
    if camera_model == "ortho":
        return focal * rays[..., :2] + center
    if camera_model == "fisheye":
        rho = torch.sqrt(x * x + y * y)
        return focal * rays[..., :2] * (torch.atan2(rho, z) / rho)[..., None] + center
    longitude, latitude = torch.atan2(x, z), torch.atan2(y, torch.sqrt(x * x + z * z))
    return size * torch.stack([longitude / (2 * math.pi) + 0.5, latitude / math.pi + 0.5], -1)
