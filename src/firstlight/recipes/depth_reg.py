"""DRGS: Depth-Regularized Optimization for 3D Gaussian Splatting in Few-Shot Images (Chung et al. 2024)."""

from firstlight.density import Vanilla
from firstlight.fitting import DepthRegularisation, DepthStop, Photometric, Recipe
from firstlight.starts import PointsOrRandom

NEVER = 10**9

RECIPE = Recipe(
    name="depth-reg",
    summary="3DGS whose depth is held to the photos' own and smooth, and which ends where depth gets worse.",
    paper="Depth-Regularized Optimization for 3DGS in Few-Shot Images (DRGS, Chung et al. 2024)",
    geometry="stereo",
    start=PointsOrRandom(),
    density=Vanilla(start=100, reset_every=NEVER),
    losses=(Photometric(), DepthRegularisation()),
    sh_degree=1,
    stop=DepthStop(),
    partial="Depth is firstlight's stereo, not a network's fitted to points; terms are in units of depth; "
    "without resets, long Gaussians are not removed either, which the authors do.",
)
