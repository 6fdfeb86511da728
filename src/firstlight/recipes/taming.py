"""Taming 3DGS (Mallick et al. 2024): an exact budget, parents drawn by score."""

from dataclasses import replace

from firstlight.density import Taming
from firstlight.fitting import Rates, Recipe
from firstlight.starts import PointsOrRandom

BUDGET = 60_000

RECIPE = Recipe(
    name="taming",
    summary="Growth along a fixed curve to an exact count; what does most for pictures grows first.",
    paper="Taming 3DGS: High-Quality Radiance Fields with Limited Resources (Mallick et al. 2024)",
    start=PointsOrRandom(),
    density=Taming(max_gaussians=BUDGET),
    rates=replace(Rates(), logit_opacities=0.025),
    max_gaussians=BUDGET,
    partial="Opacities stay below 1; higher harmonics are updated in every step; clones and splits are drawn "
    "together, not each up to its share; its faster backward pass is not needed by these kernels.",
)
