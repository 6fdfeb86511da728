"""Turbo-GS (Lu et al. 2024): growth by position and colour, budget by convergence, dilated pictures."""

from firstlight.density import Turbo
from firstlight.fitting import Recipe
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="turbo-gs",
    summary="Grows where position or colour is wrong and many views look; at first a fourth of the pixels.",
    paper="Turbo-GS: Accelerating 3D Gaussian Fitting for High-Quality Radiance Fields (Lu et al. 2024)",
    start=PointsOrRandom(),
    density=Turbo(),
    dilation=((0.0, 2), (0.7, 1)),
    partial="Built from the abstract and notes, on plain Gaussians instead of the paper's anchors.",
)
