"""ProtoGS: Efficient and High-Quality Rendering with 3D Gaussian Prototypes (2025)."""

from firstlight.density import Vanilla
from firstlight.fitting import Recipe
from firstlight.representations import Prototypes
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="protogs",
    summary="3DGS for half of the steps; then a prototype for ten Gaussians, rendered and trained directly.",
    paper="ProtoGS: Efficient and High-Quality Rendering with 3D Gaussian Prototypes (2025)",
    start=PointsOrRandom(),
    density=Vanilla(),
    representation=Prototypes(),
    partial="Built from the abstract and notes; re-clustering splits and merges prototypes.",
)
