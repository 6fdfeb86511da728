"""One camera's picture of a scene: the nouns' way into the rasteriser."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from torch import Tensor

from firstlight.render._rasterization import rasterization
from firstlight.render._surfel_rasterization import rasterization_2dgs
from firstlight.scene import Cameras, Gaussians, unit_of

BLUR = 0.3  # of 3DGS
NEAR = 0.01  # the rasteriser's own near plane, scene units


def near_for(extent: float) -> float:
    """The near plane for a scene of ``extent``: ``NEAR``, or as many of its units where these are small.

    Never farther than ``NEAR``: what stands close before a camera of a large scene is part of its photo.
    """
    return NEAR * min(1.0, unit_of(extent))


def render_camera(
    gaussians: Gaussians,
    camera: Cameras,
    *,
    sh_degree: int | None = None,
    background: Tensor | None = None,
    antialiased: bool = False,
    depth: bool = False,
    blur: float = BLUR,
    near: float = NEAR,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """The view of ``camera`` (one, undistorted): colours [H, W, 3], alpha [H, W], the rasteriser's notes.

    With ``depth`` the colours have a fourth channel: the expected z-depth Σ w z / Σ w, 0 where nothing is.
    ``blur`` is the variance in square pixels that a pixel adds to every splat (``eps2d``). ``sh_degree``
    limits the spherical harmonics used (all by default); ``background`` is [3]. What is nearer than ``near``
    to the camera's plane is not drawn: scenes of small units need a small one, see ``near_for``.
    ValueError when there is not exactly one camera, or when it is no plain pinhole.
    """
    _check_camera(camera)
    colors, alphas, meta = rasterization(
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.sh,
        camera.viewmats.to(gaussians.means.dtype),
        camera.Ks.to(gaussians.means.dtype),
        int(camera.width[0]),
        int(camera.height[0]),
        sh_degree=gaussians.degree if sh_degree is None else sh_degree,
        backgrounds=None if background is None else background[None],
        rasterize_mode="antialiased" if antialiased else "classic",
        packed=False,
        eps2d=blur,
        near_plane=near,
        render_mode="RGB+ED" if depth else "RGB",
    )
    # Not colors[0]: the gradient of an index is a picture of zeros with another copied into it.
    return colors.squeeze(0), alphas.squeeze(0).squeeze(-1), meta


class SurfelView(NamedTuple):
    """What one camera sees of surfels, and what losses on the surface look at."""

    colors: Tensor  # [H, W, 3]
    alpha: Tensor  # [H, W]
    depth: Tensor  # [H, W] expected, along the camera's axis
    median: Tensor  # [H, W] median depth
    normals: Tensor  # [H, W, 3] the surfels' own, summed like colours, in the world's axes
    surface: Tensor  # [H, W, 3] those of the depth map: unit length, zeros at the border
    distortion: Tensor  # [H, W]
    meta: dict[str, Any]


def render_surfels(
    gaussians: Gaussians,
    camera: Cameras,
    *,
    sh_degree: int | None = None,
    background: Tensor | None = None,
    depth_mode: Literal["expected", "median"] = "expected",
    near: float = NEAR,
) -> SurfelView:
    """As ``render_camera``, the Gaussians taken as surfels (``rasterization_2dgs``).

    ``depth_mode`` says which depth map ``surface`` is of.
    """
    _check_camera(camera)
    picture, alphas, normals, surface, distortions, medians, meta = rasterization_2dgs(
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.sh,
        camera.viewmats.to(gaussians.means.dtype),
        camera.Ks.to(gaussians.means.dtype),
        int(camera.width[0]),
        int(camera.height[0]),
        sh_degree=gaussians.degree if sh_degree is None else sh_degree,
        backgrounds=None if background is None else background[None],
        near_plane=near,
        render_mode="RGB+ED",
        depth_mode=depth_mode,
    )
    assert surface is not None
    one = picture[0]
    return SurfelView(
        one[..., :3],
        alphas[0, ..., 0],
        one[..., 3],
        medians[0, ..., 0],
        normals[0],
        surface,
        distortions[0, ..., 0],
        meta,
    )


def _check_camera(camera: Cameras) -> None:
    if len(camera) != 1 or not camera.undistorted:
        raise ValueError("expected one undistorted pinhole camera; undistort the capture first")
