"""GP-GS: Gaussian Processes for Enhanced Gaussian Splatting (Guo et al. 2025)."""

from firstlight.density import Vanilla
from firstlight.fitting import Recipe
from firstlight.starts import GpStart

RECIPE = Recipe(
    name="gp-gs",
    summary="3DGS from sparse points that Gaussian processes make denser where they are sure.",
    paper="GP-GS: Gaussian Processes for Enhanced Gaussian Splatting (Guo et al. 2025)",
    geometry="stereo",
    start=GpStart(),
    density=Vanilla(),
    needs=("gpytorch",),
    partial="Depth is firstlight's stereo, not a pretrained network's.",
)
