"""3D Gaussian Splatting as published (Kerbl et al. 2023), its schedule scaled to the run's steps."""

from firstlight.density import Vanilla
from firstlight.fitting import Recipe
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="vanilla",
    summary="Sparse points, cloned and split where the screen gradient is high.",
    paper="3D Gaussian Splatting for Real-Time Radiance Field Rendering (Kerbl et al. 2023)",
    start=PointsOrRandom(),
    density=Vanilla(),
)
