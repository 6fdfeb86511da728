"""Opacity dropout (DropGaussian, Park et al. 2025): a reference point for few views."""

from firstlight.density import Vanilla
from firstlight.fitting import Recipe
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="dropout",
    summary="3DGS in which a random part of the Gaussians, up to a fifth, is left out of each step.",
    paper="DropGaussian: Structural Regularization for Sparse-view Gaussian Splatting (Park et al. 2025)",
    start=PointsOrRandom(),
    density=Vanilla(),
    dropout=0.2,
)
