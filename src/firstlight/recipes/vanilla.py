"""3D Gaussian Splatting (Kerbl et al. 2023), its schedule scaled to the run's steps.

Unlike the paper's, each photo has an exposure of its own, as in nearly all recipes here.
"""

from firstlight.density import Vanilla
from firstlight.fitting import Recipe
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="vanilla",
    summary="Sparse points, cloned and split where the screen gradient is high; and, unlike the paper's, "
    "an exposure for each photo.",
    paper="3D Gaussian Splatting for Real-Time Radiance Field Rendering (Kerbl et al. 2023)",
    start=PointsOrRandom(),
    density=Vanilla(),
)
