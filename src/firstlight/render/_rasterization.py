"""The whole way from Gaussians to pictures, with gsplat's interface."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from firstlight.render._arrays import check_shape
from firstlight.render._blend import rasterize_to_pixels
from firstlight.render._errors import unsupported
from firstlight.render._harmonics import view_colors
from firstlight.render._projection import CameraModel, fully_fused_projection
from firstlight.render._tiles import deal

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]


def rasterization(
    means: Tensor,  # [N, 3]
    quats: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    colors: Tensor,  # [(C,) N, D] or [(C,) N, K, 3]
    viewmats: Tensor,  # [C, 4, 4]
    Ks: Tensor,  # [C, 3, 3]
    width: int,
    height: int,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    packed: bool = False,
    tile_size: int = 16,
    backgrounds: Tensor | None = None,  # [C, D]
    render_mode: RenderMode = "RGB",
    sparse_grad: bool = False,
    absgrad: bool = False,
    rasterize_mode: Literal["classic", "antialiased"] = "classic",
    channel_chunk: int = 32,
    distributed: bool = False,
    camera_model: CameraModel = "pinhole",
    segmented: bool = False,
    covars: Tensor | None = None,
    **later: Any,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render N Gaussians from C cameras (Kerbl et al. 2023) with the interface of gsplat 1.5.3.

    ``quats`` are w first and of any length, ``scales`` standard deviations, ``opacities`` in [0, 1],
    ``colors`` either any D channels or, with ``sh_degree``, spherical harmonics. ``viewmats`` go from world
    to camera (x right, y down, z forward), ``Ks`` are in pixels with centres at +0.5. ``antialiased``
    lowers the opacity of what is smaller than a pixel (Mip-Splatting, Yu et al. 2024). ``channel_chunk`` and
    ``segmented`` change nothing here.

    Returns colours [C, H, W, X] (X: D for RGB, 1 for D and ED, D + 1 with the depth last for RGB+D and
    RGB+ED), alphas [C, H, W, 1] and the intermediates: radii [C, N, 2], means2d [C, N, 2] (call
    ``retain_grad()`` on it before the backward pass; with ``absgrad`` it then has ``.absgrad``), depths,
    conics, opacities, tiles_per_gauss, isect_ids, flatten_ids, isect_offsets, and sizes. With ``packed``
    those of the splats hold only what is seen, [nnz, ...], and camera_ids and gaussian_ids say whose.

    Gradients flow to means, quats, scales, opacities, colors, viewmats and backgrounds.
    ValueError for shapes that do not fit, NotImplementedError for parts of the interface that are missing.
    """
    _refuse_missing(sparse_grad, distributed, covars, later)
    count, images = means.shape[0], viewmats.shape[0]
    if render_mode not in ("RGB", "D", "ED", "RGB+D", "RGB+ED"):
        raise ValueError(f"render_mode: expected RGB, D, ED, RGB+D or RGB+ED, got {render_mode!r}")
    if rasterize_mode not in ("classic", "antialiased"):
        raise ValueError(f"rasterize_mode: expected classic or antialiased, got {rasterize_mode!r}")
    check_shape("opacities", opacities, count)
    radii, means2d, depths, conics, compensations = fully_fused_projection(
        means,
        None,
        quats,
        scales,
        viewmats,
        Ks,
        width,
        height,
        eps2d=eps2d,
        near_plane=near_plane,
        far_plane=far_plane,
        radius_clip=radius_clip,
        calc_compensations=rasterize_mode == "antialiased",
        camera_model=camera_model,
        opacities=opacities,
    )
    seen = opacities.expand(images, count)
    if compensations is not None:
        seen = seen * compensations
    channels = None
    if render_mode.startswith("RGB"):
        channels = _channels(means, viewmats, colors, sh_degree, radii)
    splat_images = np.arange(images + 1, dtype=np.int64) * count
    meta: dict[str, Any] = {"batch_ids": None, "camera_ids": None, "gaussian_ids": None}
    if packed:
        cameras, gaussians = torch.nonzero(radii[..., 0] > 0, as_tuple=True)
        meta.update(batch_ids=torch.zeros_like(cameras), camera_ids=cameras, gaussian_ids=gaussians)
        splat_images = np.searchsorted(cameras.numpy(), np.arange(images + 1))
        radii, means2d, depths, conics, seen = (
            t[cameras, gaussians] for t in (radii, means2d, depths, conics, seen)
        )
        channels = None if channels is None else channels[cameras, gaussians]
    if channels is None:
        channels = depths[..., None]
    elif render_mode != "RGB":
        channels = torch.cat([channels, depths[..., None]], -1)
    tile_width, tile_height = -(-width // tile_size), -(-height // tile_size)
    tiles_per_gauss, isect_ids, flatten_ids, starts = deal(
        means2d, radii, depths, conics, seen, splat_images, tile_size, tile_width, tile_height
    )
    isect_offsets = torch.from_numpy(starts[:-1]).view(images, tile_height, tile_width)
    meta.update(
        radii=radii,
        means2d=means2d,
        depths=depths,
        conics=conics,
        opacities=seen,
        tile_width=tile_width,
        tile_height=tile_height,
        tiles_per_gauss=tiles_per_gauss,
        isect_ids=isect_ids,
        flatten_ids=flatten_ids,
        isect_offsets=isect_offsets,
        width=width,
        height=height,
        tile_size=tile_size,
        n_batches=1,
        n_cameras=images,
    )
    picture, alphas = rasterize_to_pixels(
        means2d,
        conics,
        channels,
        seen,
        width,
        height,
        tile_size,
        isect_offsets,
        flatten_ids,
        backgrounds=_backgrounds(backgrounds, render_mode),
        packed=packed,
        absgrad=absgrad,
    )
    if render_mode in ("ED", "RGB+ED"):
        expected = picture[..., -1:] / alphas.clamp(min=1e-10)
        picture = torch.cat([picture[..., :-1], expected], -1)
    return picture, alphas, meta


def _refuse_missing(
    sparse_grad: bool, distributed: bool, covars: Tensor | None, later: dict[str, Any]
) -> None:
    """NotImplementedError for what gsplat has and this does not; TypeError for what neither has."""
    known = {
        "with_ut", "with_eval3d", "radial_coeffs", "tangential_coeffs", "thin_prism_coeffs", "ftheta_coeffs",
        "rolling_shutter", "viewmats_rs",
    }  # fmt: skip
    if sparse_grad:
        raise unsupported("rasterization", "sparse_grad", "leave it False")
    if distributed:
        raise unsupported("rasterization", "distributed", "leave it False")
    if covars is not None:
        raise unsupported("rasterization", "covars", "give quats and scales")
    for name, value in later.items():
        if name not in known:
            raise TypeError(f"rasterization() got an unexpected keyword argument {name!r}")
        if value is not None and value is not False:
            raise unsupported("rasterization", name, "undistort the photos first")


def _channels(
    means: Tensor, viewmats: Tensor, colors: Tensor, sh_degree: int | None, radii: Tensor
) -> Tensor:
    """What to blend [C, N, D]."""
    count, images = means.shape[0], viewmats.shape[0]
    inner = colors.shape[-1:] if sh_degree is None else (colors.shape[-2], 3)
    own = colors.dim() == len(inner) + 2
    check_shape("colors", colors, *((images,) if own else ()), count, *inner)
    if sh_degree is not None:
        return view_colors(means, viewmats, colors, sh_degree, radii)
    return colors if own else colors.expand(images, *colors.shape)


def _backgrounds(backgrounds: Tensor | None, render_mode: RenderMode) -> Tensor | None:
    """Backgrounds for the channels that are blended: depth has nothing behind it."""
    if backgrounds is None or render_mode == "RGB":
        return backgrounds
    nothing = backgrounds.new_zeros(*backgrounds.shape[:-1], 1)
    return torch.cat([backgrounds, nothing], -1) if render_mode.startswith("RGB") else nothing
