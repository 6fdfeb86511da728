"""The whole way from Gaussians to pictures, with gsplat's interface."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.render._arrays import Array, check_channels, check_shape, differentiable, empty
from firstlight.render._blend import rasterize_to_pixels
from firstlight.render._errors import ShapeError, unsupported
from firstlight.render._eval3d import rasterize_to_pixels_eval3d
from firstlight.render._gsplat import cuda_by_gsplat
from firstlight.render._harmonics import view_colors
from firstlight.render._packing import DENSE, Packed
from firstlight.render._projection import CameraModel, project
from firstlight.render._tiles import deal, tiles_of
from firstlight.render._unscented import fully_fused_projection_with_ut
from firstlight.render._unscented_types import FThetaCameraDistortionParameters, RollingShutterType

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]


class _Splats(NamedTuple):
    """What is dealt out to tiles and blended: [..., C, N, ...], or packed [nnz, ...]."""

    radii: Tensor
    means2d: Tensor
    depths: Tensor
    conics: Tensor
    opacities: Tensor
    starts: Array  # [I + 1] where each picture's begin
    rows: Packed | None


@cuda_by_gsplat
def rasterization(
    means: Tensor,  # [..., N, 3]
    quats: Tensor | None,  # [..., N, 4]
    scales: Tensor | None,  # [..., N, 3]
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
    packed: bool = True,
    tile_size: int = 16,
    backgrounds: Tensor | None = None,  # [..., C, D]
    render_mode: RenderMode = "RGB",
    sparse_grad: bool = False,
    absgrad: bool = False,
    rasterize_mode: Literal["classic", "antialiased"] = "classic",
    channel_chunk: int = 32,
    distributed: bool = False,
    camera_model: CameraModel = "pinhole",
    segmented: bool = False,
    covars: Tensor | None = None,  # [..., N, 3, 3]
    with_ut: bool = False,
    with_eval3d: bool = False,
    radial_coeffs: Tensor | None = None,  # [..., C, 6], or [..., C, 4] of a fisheye
    tangential_coeffs: Tensor | None = None,  # [..., C, 2]
    thin_prism_coeffs: Tensor | None = None,  # [..., C, 4]
    ftheta_coeffs: FThetaCameraDistortionParameters | None = None,
    rolling_shutter: RollingShutterType = RollingShutterType.GLOBAL,
    viewmats_rs: Tensor | None = None,  # [..., C, 4, 4]
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render N Gaussians from C cameras (Kerbl et al. 2023) with the interface of gsplat 1.5.3.

    ``quats`` are w first and of any length, ``scales`` standard deviations, ``opacities`` in [0, 1],
    ``colors`` either any D channels or, with ``sh_degree``, spherical harmonics; None for depth alone.
    ``covars``, if given, stand for quats and scales. ``viewmats`` go from world to camera (x right, y down,
    z forward), ``Ks`` are in pixels with centres at +0.5; camera models are those of
    ``fully_fused_projection``. ``antialiased`` lowers the opacity of what is smaller than a pixel
    (Mip-Splatting, Yu et al. 2024). Leading dimensions are scenes of their own, each with C cameras.
    ``channel_chunk`` and ``segmented`` change nothing here; docs/gsplat.md lists what differs from gsplat.

    ``with_ut`` projects by the unscented transform (``fully_fused_projection_with_ut``, not differentiable),
    which distorted lenses and rolling shutters need; ``with_eval3d`` blends in space
    (``rasterize_to_pixels_eval3d``, no gradient of viewmats). Together they are 3DGUT (Wu et al. 2025). Both
    want quats and scales and ``packed=False``.

    Returns colours [..., C, H, W, X] (X: D for RGB, 1 for D and ED, D + 1 with the depth last for RGB+D and
    RGB+ED), alphas [..., C, H, W, 1] and the intermediates: radii, means2d (call ``retain_grad()`` on it
    before the backward pass; with ``absgrad`` it then has ``.absgrad``, but where blending is in space),
    depths, conics, opacities, tiles_per_gauss, isect_ids, flatten_ids, isect_offsets, and sizes. With
    ``packed`` those of the splats hold only what is seen, [nnz, ...], and batch_ids, camera_ids and
    gaussian_ids say whose; otherwise they are [..., C, N, ...]. The pictures are the same.

    Gradients flow to means, quats, scales, covars, opacities, colors, viewmats and backgrounds; with
    ``sparse_grad`` (packed, no leading dimensions) those of projection are sparse COO tensors.
    ShapeError (a ValueError and an AssertionError) for inputs that do not fit, TypeError unless all are
    float32 on the CPU, NotImplementedError for parts of the interface that are missing.
    """
    if distributed:
        raise unsupported("rasterization", "distributed", "there are no ranks on a CPU; leave it False")
    if render_mode not in ("RGB", "D", "ED", "RGB+D", "RGB+ED"):
        raise ShapeError(f"render_mode: expected RGB, D, ED, RGB+D or RGB+ED, got {render_mode!r}")
    if rasterize_mode not in ("classic", "antialiased"):
        raise ShapeError(f"rasterize_mode: expected classic or antialiased, got {rasterize_mode!r}")
    tiles = tiles_of(width, height, tile_size)
    optics: dict[str, Any] = {
        "camera_model": camera_model,
        "radial_coeffs": radial_coeffs,
        "tangential_coeffs": tangential_coeffs,
        "thin_prism_coeffs": thin_prism_coeffs,
        "ftheta_coeffs": ftheta_coeffs,
        "rolling_shutter": rolling_shutter,
        "viewmats_rs": viewmats_rs,
    }
    _check_optics(optics, with_ut)
    if with_ut or with_eval3d:
        if quats is None or scales is None or covars is not None:
            raise ShapeError("with_ut and with_eval3d take quats and scales, not covars")
        if packed or sparse_grad:
            raise ShapeError("with_ut and with_eval3d need packed=False and sparse_grad=False")
    compensate = rasterize_mode == "antialiased"
    view = (viewmats, Ks, width, height, eps2d, near_plane, far_plane, radius_clip)
    projected: tuple[Tensor, ...]
    rows = None
    if with_ut:
        assert quats is not None
        assert scales is not None
        *seen, compensations = fully_fused_projection_with_ut(
            means, quats, scales, opacities, *view, compensate, **optics
        )
        projected = (*seen, empty(0) if compensations is None else compensations)
    else:
        upper = None if covars is None else _upper(covars, means)
        projected, rows = project(
            means, upper, quats, scales, *view, packed, sparse_grad, compensate, camera_model, opacities
        )
    splats = _splats(projected, rows, opacities, viewmats, compensate)
    channels = splats.depths[..., None]
    if render_mode.startswith("RGB"):
        shades = shades_of(means, viewmats, colors, sh_degree, splats.radii, splats.rows, viewmats_rs)
        channels = shades if render_mode == "RGB" else torch.cat([shades, channels], -1)
    # In space a splat's edge is not its ellipse's: there, as in gsplat, it counts in whole tiles.
    conics = None if with_eval3d else splats.conics
    dealt = deal(splats.means2d, splats.radii, splats.depths, conics, splats.opacities, splats.starts, *tiles)
    meta = _meta(splats, dealt, viewmats.shape[:-2], width, height, tiles)
    behind = backgrounds_of(backgrounds, render_mode)
    lists = (tile_size, meta["isect_offsets"], meta["flatten_ids"], behind)
    if with_eval3d:
        assert quats is not None
        assert scales is not None
        picture, alphas = rasterize_to_pixels_eval3d(
            means, quats, scales, channels, splats.opacities, viewmats, Ks, width, height, *lists, **optics
        )
    else:
        picture, alphas = rasterize_to_pixels(
            splats.means2d, splats.conics, channels, splats.opacities, width, height, *lists,
            packed=packed, absgrad=absgrad,
        )  # fmt: skip
    if render_mode in ("ED", "RGB+ED"):
        expected = picture[..., -1:] / alphas.clamp(min=1e-10)
        picture = torch.cat([picture[..., :-1], expected], -1)
    return picture, alphas, meta


def _check_optics(optics: dict[str, Any], with_ut: bool) -> None:
    """ShapeError for what gsplat does not combine."""
    moving = optics["rolling_shutter"] != RollingShutterType.GLOBAL
    bent = moving or any(value is not None for name, value in optics.items() if name.endswith("_coeffs"))
    if bent and not with_ut:
        raise ShapeError("distorted lenses and rolling shutters need with_ut=True")
    if moving and optics["viewmats_rs"] is None:
        raise ShapeError("a rolling shutter needs viewmats_rs, the poses at the end of the exposure")
    if not moving and optics["viewmats_rs"] is not None:
        raise ShapeError("viewmats_rs: expected None without a rolling shutter")


def _upper(covars: Tensor, means: Tensor) -> Tensor:
    """The upper triangle [..., N, 6] of covariances [..., N, 3, 3]."""
    check_shape("covars", covars, *means.shape[:-1], 3, 3)
    upper: Tensor = differentiable(_Upper, covars)
    return upper


class _Upper(torch.autograd.Function):
    """``_upper``; torch's own indexing passes no sparse gradient."""

    @staticmethod
    def forward(ctx: Any, covars: Tensor) -> Tensor:
        rows, columns = torch.triu_indices(3, 3)
        return covars[..., rows, columns]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_upper: Tensor) -> Tensor:
        if not v_upper.is_sparse:
            return _whole(v_upper)
        return torch.sparse_coo_tensor(
            v_upper._indices(),
            _whole(v_upper._values()),
            (*v_upper.shape[:-1], 3, 3),
            is_coalesced=v_upper.is_coalesced(),
            check_invariants=False,
        )


def _whole(upper: Tensor) -> Tensor:
    """Matrices [..., 3, 3] with these upper triangles [..., 6], and zeros below."""
    rows, columns = torch.triu_indices(3, 3)
    whole = upper.new_zeros(*upper.shape[:-1], 3, 3)
    whole[..., rows, columns] = upper
    return whole


def _splats(
    projected: tuple[Tensor, ...], rows: Packed | None, opacities: Tensor, viewmats: Tensor, compensate: bool
) -> _Splats:
    radii, means2d, depths, conics, compensations = projected
    seen, starts = opacities_of(opacities, viewmats, rows)
    if compensate:
        seen = seen * compensations
    return _Splats(radii, means2d, depths, conics, seen, starts, rows)


def opacities_of(opacities: Tensor, viewmats: Tensor, rows: Packed | None) -> tuple[Tensor, Array]:
    """Opacities of the splats [..., C, N], or [nnz], and where each picture's begin [I + 1]."""
    images, count = math.prod(viewmats.shape[:-2]), opacities.shape[-1]
    if rows is None:
        seen = opacities[..., None, :].expand(*viewmats.shape[:-2], count)
        return seen, np.arange(images + 1, dtype=np.int64) * count
    return opacities.reshape(-1).index_select(0, rows.of_gaussians(count)), rows.rows.starts


def shades_of(
    means: Tensor,
    viewmats: Tensor,
    colors: Tensor | None,
    sh_degree: int | None,
    radii: Tensor,
    rows: Packed | None,
    viewmats_rs: Tensor | None = None,
) -> Tensor:
    """Colours of the splats [..., C, N, D], or [nnz, D]."""
    if colors is None:
        raise ShapeError("colors: None shows depth alone; use render_mode D or ED")
    check_channels(colors)
    batch, count, cameras = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    inner = colors.shape[-1:] if sh_degree is None else (*colors.shape[-2:-1], 3)
    own = colors.dim() == len(batch) + len(inner) + 2
    check_shape("colors", colors, *batch, *((cameras,) if own else ()), count, *inner)
    if sh_degree is not None:
        dense = DENSE if rows is None else rows.rows
        return view_colors(means, viewmats, colors, sh_degree, radii, dense, viewmats_rs)
    if rows is None:
        return colors if own else colors[..., None, :, :].expand(*batch, cameras, count, -1)
    numbers = rows.of_images(cameras, count) if own else rows.of_gaussians(count)
    return colors.reshape(-1, colors.shape[-1]).index_select(0, numbers)


def _meta(
    splats: _Splats,
    dealt: tuple[Tensor, Tensor, Tensor, Array],
    images: tuple[int, ...],
    width: int,
    height: int,
    tiles: tuple[int, int, int],
) -> dict[str, Any]:
    """gsplat's notes, in its order."""
    tiles_per_gauss, isect_ids, flatten_ids, starts = dealt
    tile_size, tile_width, tile_height = tiles
    rows = splats.rows
    return {
        "batch_ids": None if rows is None else rows.batch_ids,
        "camera_ids": None if rows is None else rows.camera_ids,
        "gaussian_ids": None if rows is None else rows.gaussian_ids,
        "radii": splats.radii,
        "means2d": splats.means2d,
        "depths": splats.depths,
        "conics": splats.conics,
        "opacities": splats.opacities,
        "tile_width": tile_width,
        "tile_height": tile_height,
        "tiles_per_gauss": tiles_per_gauss,
        "isect_ids": isect_ids,
        "flatten_ids": flatten_ids,
        "isect_offsets": torch.from_numpy(starts[:-1]).view(*images, tile_height, tile_width),
        "width": width,
        "height": height,
        "tile_size": tile_size,
        "n_batches": math.prod(images[:-1]),
        "n_cameras": images[-1],
    }


def backgrounds_of(backgrounds: Tensor | None, render_mode: RenderMode) -> Tensor | None:
    """Backgrounds for the channels that are blended: depth has nothing behind it."""
    if backgrounds is None or render_mode == "RGB":
        return backgrounds
    nothing = backgrounds.new_zeros(*backgrounds.shape[:-1], 1)
    return torch.cat([backgrounds, nothing], -1) if render_mode.startswith("RGB") else nothing
