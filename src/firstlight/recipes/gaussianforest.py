"""GaussianForest: Hierarchical-Hybrid 3D Gaussian Splatting for Compressed Scene Modeling (2024)."""

from firstlight.density import Vanilla
from firstlight.fitting import OpacityPenalty, Photometric, Recipe
from firstlight.representations import Trees
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="gaussianforest",
    summary="3DGS for a tenth of the steps; then leaves of trees, whose shape and colour networks decode.",
    paper="GaussianForest: Hierarchical-Hybrid 3DGS for Compressed Scene Modeling (2024)",
    start=PointsOrRandom(),
    density=Vanilla(),
    representation=Trees(),
    losses=(Photometric(), OpacityPenalty(0.001)),
    sh_degree=2,
    partial="Built from the abstract and notes; colours are harmonics, not a network of the direction.",
)
