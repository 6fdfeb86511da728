"""Twin of the whole way for surfels: every one over every pixel of the tiles that its box touches."""

from collections.abc import Callable

import torch
from torch import Tensor

from firstlight.render._depth_normals import depth_to_normal
from firstlight.render.twins._harmonics import spherical_harmonics
from firstlight.render.twins._surfel_blend import rasterize_to_pixels_2dgs
from firstlight.render.twins._surfel_projection import fully_fused_projection_2dgs
from firstlight.render.twins._tiles import isect_tiles


def rasterization_2dgs(
    means: Tensor,  # [N, 3]
    quats: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    colors: Tensor,  # [N, D] or [N, K, 3]
    viewmats: Tensor,  # [C, 4, 4]
    Ks: Tensor,  # [C, 3, 3]
    width: int,
    height: int,
    sh_degree: int | None = None,
    tile_size: int = 16,
    backgrounds: Tensor | None = None,  # [C, D]
    render_mode: str = "RGB",
    depth_mode: str = "expected",
    exp: Callable[[Tensor], Tensor] = torch.exp,
) -> tuple[Tensor, ...]:
    """Colours, alphas, normals, normals of the depth map (if any) [C, H, W, 3], distortions and medians."""
    radii, means2d, depths, transforms, normals = fully_fused_projection_2dgs(
        means, quats, scales, viewmats, Ks, width, height
    )
    channels = depths[..., None]
    if render_mode.startswith("RGB"):
        shades = colors.expand(len(viewmats), *colors.shape)
        if sh_degree is not None:
            centers = torch.inverse(viewmats)[:, None, :3, 3]
            shades = (spherical_harmonics(sh_degree, means - centers, colors) + 0.5).clamp(min=0)
        channels = shades if render_mode == "RGB" else torch.cat([shades, channels], -1)
    if backgrounds is not None and render_mode != "RGB":
        nothing = backgrounds.new_zeros(len(backgrounds), 1)
        backgrounds = torch.cat([backgrounds, nothing], -1) if render_mode.startswith("RGB") else None
    reach = torch.where(radii > 0, radii.clamp(min=3), 0)
    tiles = (-(-width // tile_size), -(-height // tile_size))
    flatten_ids, isect_offsets = isect_tiles(means2d, reach, depths, tile_size, *tiles)
    picture, alphas, facing, distortions, medians = rasterize_to_pixels_2dgs(
        means2d,
        transforms,
        channels,
        opacities.expand(len(viewmats), -1),
        normals,
        width,
        height,
        tile_size,
        isect_offsets,
        flatten_ids,
        backgrounds,
        exp,
    )
    if render_mode.endswith("ED"):
        picture = torch.cat([picture[..., :-1], picture[..., -1:] / alphas.clamp(min=1e-10)], -1)
    camtoworlds = torch.inverse(viewmats)
    facing = torch.einsum("cij,chwj->chwi", camtoworlds[:, :3, :3], facing)
    surface = []
    if render_mode in ("RGB+D", "RGB+ED"):
        map_ = picture[..., -1:] if depth_mode == "expected" else medians
        surface = [depth_to_normal(map_, camtoworlds, Ks)]
    return picture, alphas, facing, *surface, distortions, medians
