"""One camera's picture of a scene: the nouns' way into the rasteriser."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from firstlight.render._rasterization import rasterization
from firstlight.scene import Cameras, Gaussians

BLUR = 0.3  # of 3DGS


def render_camera(
    gaussians: Gaussians,
    camera: Cameras,
    *,
    sh_degree: int | None = None,
    background: Tensor | None = None,
    antialiased: bool = False,
    depth: bool = False,
    blur: float = BLUR,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """The view of ``camera`` (one, undistorted): colours [H, W, 3], alpha [H, W], the rasteriser's notes.

    With ``depth`` the colours have a fourth channel: the expected z-depth Σ w z / Σ w, 0 where nothing is.
    ``blur`` is the variance in square pixels that a pixel adds to every splat (``eps2d``). ``sh_degree``
    limits the spherical harmonics used (all by default); ``background`` is [3].
    ValueError when there is not exactly one camera, or when it is no plain pinhole.
    """
    if len(camera) != 1 or not camera.undistorted:
        raise ValueError("expected one undistorted pinhole camera; undistort the capture first")
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
        render_mode="RGB+ED" if depth else "RGB",
    )
    return colors[0], alphas[0, ..., 0], meta
