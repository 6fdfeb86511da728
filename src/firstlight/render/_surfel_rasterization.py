"""The whole way from surfels (2D Gaussians) to pictures, with gsplat's interface."""

from typing import Any, Literal

import torch
from torch import Tensor

from firstlight.render._arrays import check_shape, zeros
from firstlight.render._depth_normals import depth_to_normal
from firstlight.render._errors import ShapeError
from firstlight.render._gsplat import cuda_by_gsplat
from firstlight.render._rasterization import RenderMode, backgrounds_of, opacities_of, shades_of
from firstlight.render._surfel_blend import rasterize_to_pixels_2dgs
from firstlight.render._surfel_projection import project_surfels
from firstlight.render._tiles import deal, tiles_of

FILTER_REACH = 3  # px: the low-pass filter's alpha is under 1/255 from 2.36 px on


@cuda_by_gsplat
def rasterization_2dgs(
    means: Tensor,  # [..., N, 3]
    quats: Tensor,  # [..., N, 4]
    scales: Tensor,  # [..., N, 3]
    opacities: Tensor,  # [..., N]
    colors: Tensor | None,  # [..., (C,) N, D] or [..., (C,) N, K, 3]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]
    width: int,
    height: int,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    packed: bool = False,
    tile_size: int = 16,
    backgrounds: Tensor | None = None,  # [..., C, D]
    render_mode: RenderMode = "RGB",
    sparse_grad: bool = False,
    absgrad: bool = False,
    distloss: bool = False,
    depth_mode: Literal["expected", "median"] = "expected",
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor, dict[str, Any]]:
    """Render N surfels from C cameras (2D Gaussian Splatting, Huang et al. 2024) as gsplat 1.5.3 does.

    ``quats`` are w first and of any length, the first two of ``scales`` standard deviations in the surfel's
    plane (the third is not used), ``opacities`` in [0, 1], ``colors`` either any D channels or, with
    ``sh_degree``, spherical harmonics; None for depth alone. ``viewmats`` go from world to camera (x right, y
    down, z forward), ``Ks`` are those of pinhole cameras, in pixels with centres at +0.5. Leading dimensions
    are scenes of their own, each with C cameras. ``eps2d`` changes nothing; ``distloss`` only asks for a
    render mode with depth. docs/gsplat.md lists what differs from gsplat.

    Returns

    - colours [..., C, H, W, X] (X: D for RGB, 1 for D and ED, D + 1, the depth last, for RGB+D and RGB+ED),
    - alphas [..., C, H, W, 1],
    - normals [..., C, H, W, 3] in the world's axes, summed like colours,
    - normals of the depth map (``depth_to_normal``), the expected or the median one by ``depth_mode``: only
      for RGB+D and RGB+ED, else None; like gsplat's without the first dimension where that is 1,
    - distortions [..., C, H, W, 1]: Σ w_i w_j |d_i - d_j| over all ordered pairs,
    - median depths [..., C, H, W, 1],
    - the intermediates: radii, means2d, depths, ray_transforms, opacities, normals, tiles_per_gauss,
      isect_ids, flatten_ids, isect_offsets, render_distort, sizes, and gradient_2dgs, whose gradient is the
      one density control looks at (``key_for_gradient``). With ``packed`` those of the surfels hold only what
      is seen, [nnz, ...], and batch_ids, camera_ids and gaussian_ids say whose. The pictures are the same.

    Distortion and median are those of the last channel: with the render mode RGB, the last colour's.

    Gradients flow to means, quats, scales, opacities, colors, viewmats and backgrounds; with ``sparse_grad``
    (packed, no leading dimensions) those of projection are sparse COO tensors. ``absgrad`` sets
    ``meta["means2d"].absgrad`` in the backward pass.
    ShapeError (a ValueError and an AssertionError) for inputs that do not fit, TypeError unless all are
    float32 on the CPU.
    """
    if render_mode not in ("RGB", "D", "ED", "RGB+D", "RGB+ED"):
        raise ShapeError(f"render_mode: expected RGB, D, ED, RGB+D or RGB+ED, got {render_mode!r}")
    if depth_mode not in ("expected", "median"):
        raise ShapeError(f"depth_mode: expected expected or median, got {depth_mode!r}")
    if distloss and render_mode == "RGB":
        raise ShapeError("distloss needs depth: use render_mode D, ED, RGB+D or RGB+ED")
    tiles = tiles_of(width, height, tile_size)
    check_shape("opacities", opacities, *means.shape[:-1])
    projected, rows = project_surfels(
        means, quats, scales, viewmats, Ks, width, height, near_plane, far_plane, radius_clip, packed,
        sparse_grad,
    )  # fmt: skip
    radii, means2d, depths, ray_transforms, normals = projected
    seen, starts = opacities_of(opacities, viewmats, rows)
    channels = depths[..., None]
    if render_mode.startswith("RGB"):
        shades = shades_of(means, viewmats, colors, sh_degree, radii, rows)
        channels = shades if render_mode == "RGB" else torch.cat([shades, channels], -1)
    reach = torch.where(radii > 0, radii.clamp(min=FILTER_REACH), 0)
    tiles_per_gauss, isect_ids, flatten_ids, tile_starts = deal(
        means2d, reach, depths, None, None, starts, *tiles
    )
    isect_offsets = torch.from_numpy(tile_starts[:-1]).view(*viewmats.shape[:-2], *tiles[:0:-1])
    densify = zeros(*means2d.shape).requires_grad_()
    picture, alphas, facing, distortions, medians = rasterize_to_pixels_2dgs(
        means2d,
        ray_transforms,
        channels,
        seen,
        normals,
        densify,
        width,
        height,
        tile_size,
        isect_offsets,
        flatten_ids,
        backgrounds=backgrounds_of(backgrounds, render_mode),
        packed=packed,
        absgrad=absgrad,
        distloss=distloss,
    )
    if render_mode in ("ED", "RGB+ED"):
        expected = picture[..., -1:] / alphas.clamp(min=1e-10)
        picture = torch.cat([picture[..., :-1], expected], -1)
    camtoworlds = torch.linalg.inv(viewmats)
    surface = None
    if render_mode in ("RGB+D", "RGB+ED"):
        map_ = picture[..., -1:] if depth_mode == "expected" else medians
        surface = depth_to_normal(map_, camtoworlds, Ks).squeeze(0)
    facing = (facing.flatten(-3, -2) @ camtoworlds[..., :3, :3].mT).view(facing.shape)
    meta = {
        "batch_ids": None if rows is None else rows.batch_ids,
        "camera_ids": None if rows is None else rows.camera_ids,
        "gaussian_ids": None if rows is None else rows.gaussian_ids,
        "radii": radii,
        "means2d": means2d,
        "depths": depths,
        "ray_transforms": ray_transforms,
        "opacities": seen,
        "normals": normals,
        "tile_width": tiles[1],
        "tile_height": tiles[2],
        "tiles_per_gauss": tiles_per_gauss,
        "isect_ids": isect_ids,
        "flatten_ids": flatten_ids,
        "isect_offsets": isect_offsets,
        "width": width,
        "height": height,
        "tile_size": tile_size,
        "n_cameras": viewmats.shape[-3],
        "render_distort": distortions,
        "gradient_2dgs": densify,
    }
    return picture, alphas, facing, surface, distortions, medians, meta
