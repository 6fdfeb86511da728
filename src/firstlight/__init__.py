"""Photos in, a scene you can walk through out, on the computer you have.

    import firstlight as fl

    run = fl.fit("photos/")
    run.scene.save("scene.ply")

Names are imported when they are first used, so that ``import firstlight`` costs nothing.
"""

from __future__ import annotations

import os
import zlib  # noqa: F401  pycolmap brings its own; where that one is loaded first, Pillow dies writing a PNG
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firstlight.capture import load as load
    from firstlight.comparison import compare as compare
    from firstlight.density.gsplat import DefaultStrategy as DefaultStrategy
    from firstlight.density.gsplat import MCMCStrategy as MCMCStrategy
    from firstlight.errors import InputError as InputError
    from firstlight.files import convert as convert
    from firstlight.files import describe as describe
    from firstlight.fitting import Recipe as Recipe
    from firstlight.pipeline import Run as Run
    from firstlight.pipeline import fit as fit
    from firstlight.pipeline import resume as resume
    from firstlight.recipes import RECIPES as RECIPES
    from firstlight.render import RollingShutterType as RollingShutterType
    from firstlight.render import accumulate as accumulate
    from firstlight.render import accumulate_2dgs as accumulate_2dgs
    from firstlight.render import depth_to_normal as depth_to_normal
    from firstlight.render import depth_to_points as depth_to_points
    from firstlight.render import fully_fused_projection as fully_fused_projection
    from firstlight.render import fully_fused_projection_2dgs as fully_fused_projection_2dgs
    from firstlight.render import fully_fused_projection_with_ut as fully_fused_projection_with_ut
    from firstlight.render import isect_offset_encode as isect_offset_encode
    from firstlight.render import isect_tiles as isect_tiles
    from firstlight.render import quat_scale_to_covar_preci as quat_scale_to_covar_preci
    from firstlight.render import rasterization as rasterization
    from firstlight.render import rasterization_2dgs as rasterization_2dgs
    from firstlight.render import rasterize_to_indices_in_range as rasterize_to_indices_in_range
    from firstlight.render import rasterize_to_indices_in_range_2dgs as rasterize_to_indices_in_range_2dgs
    from firstlight.render import rasterize_to_pixels as rasterize_to_pixels
    from firstlight.render import rasterize_to_pixels_2dgs as rasterize_to_pixels_2dgs
    from firstlight.render import rasterize_to_pixels_eval3d as rasterize_to_pixels_eval3d
    from firstlight.render import spherical_harmonics as spherical_harmonics
    from firstlight.scene import Cameras as Cameras
    from firstlight.scene import Capture as Capture
    from firstlight.scene import Gaussians as Gaussians
    from firstlight.scene import Similarity as Similarity

# Kernels are short and many. OpenMP's threads by default spin between them, which on a machine that does
# anything else beside makes a fit several times slower. It must be said before torch or Numba load OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The gradients of a million Gaussians are new memory in every step. In pages of 4 KiB the system spends more
# time handing it out than the kernels on filling it; torch reads this before it first needs memory (Linux).
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

_HOME = {
    "capture": ("load",),
    "comparison": ("compare",),
    "density.gsplat": ("DefaultStrategy", "MCMCStrategy"),
    "errors": ("InputError",),
    "files": ("convert", "describe"),
    "fitting": ("Recipe",),
    "pipeline": ("Run", "fit", "resume"),
    "recipes": ("RECIPES",),
    "render": (
        "RollingShutterType", "accumulate", "accumulate_2dgs", "depth_to_normal", "depth_to_points",
        "fully_fused_projection", "fully_fused_projection_2dgs", "fully_fused_projection_with_ut",
        "isect_offset_encode", "isect_tiles", "quat_scale_to_covar_preci", "rasterization",
        "rasterization_2dgs", "rasterize_to_indices_in_range", "rasterize_to_indices_in_range_2dgs",
        "rasterize_to_pixels", "rasterize_to_pixels_2dgs", "rasterize_to_pixels_eval3d",
        "spherical_harmonics",
    ),
    "scene": ("Cameras", "Capture", "Gaussians", "Similarity"),
}  # fmt: skip
_ROOM_OF = {name: room for room, names in _HOME.items() for name in names}
__all__ = sorted(_ROOM_OF)


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'firstlight' has no attribute {name!r}")
    return getattr(import_module(f"firstlight.{_ROOM_OF[name]}"), name)
