"""Twin of the whole way: every splat over every pixel, no tiles."""

from collections.abc import Callable

import torch
from torch import Tensor

from firstlight.render.twins._blend import blend, pixel_centers
from firstlight.render.twins._harmonics import spherical_harmonics
from firstlight.render.twins._projection import fully_fused_projection


def rasterization(
    means: Tensor,  # [N, 3]
    quats: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    colors: Tensor,  # [N, D] or [N, K, 3]
    viewmats: Tensor,  # [C, 4, 4]
    Ks: Tensor,  # [C, 3, 3]
    width: int,
    height: int,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,  # [C, D]
    render_mode: str = "RGB",
    antialiased: bool = False,
    exp: Callable[[Tensor], Tensor] = torch.exp,
    camera_model: str = "pinhole",
) -> tuple[Tensor, Tensor]:
    """Colours [C, H, W, X] and alphas [C, H, W, 1], as of ``firstlight.render.rasterization``."""
    radii, means2d, depths, conics, compensations = fully_fused_projection(
        means,
        quats,
        scales,
        viewmats,
        Ks,
        width,
        height,
        eps2d,
        antialiased=antialiased,
        opacities=opacities,
        camera_model=camera_model,
    )
    pixels = pixel_centers(0, 0, width, height, means)
    pictures, alphas = [], []
    for image in range(len(viewmats)):
        order = torch.argsort(depths[image], stable=True)
        order = order[(radii[image, order] > 0).all(-1)]
        channels = colors
        if sh_degree is not None:
            center = torch.inverse(viewmats[image])[:3, 3]
            channels = (spherical_harmonics(sh_degree, means - center, colors) + 0.5).clamp(min=0)
        background = None if backgrounds is None else backgrounds[image]
        if render_mode in ("D", "ED"):
            channels, background = depths[image][:, None], None
        elif render_mode != "RGB":
            channels = torch.cat([channels, depths[image][:, None]], -1)
            background = None if background is None else torch.cat([background, background.new_zeros(1)])
        seen = opacities * compensations[image] if antialiased else opacities
        picture, alpha = blend(
            means2d[image, order],
            conics[image, order],
            channels[order],
            seen[order],
            pixels=pixels,
            background=background,
            exp=exp,
        )
        if render_mode.endswith("ED"):
            expected = picture[:, -1:] / alpha[:, None].clamp(min=1e-10)
            picture = torch.cat([picture[:, :-1], expected], -1)
        pictures.append(picture.view(height, width, -1))
        alphas.append(alpha.view(height, width, 1))
    return torch.stack(pictures), torch.stack(alphas)
