"""Few Gaussians, in the manner of FastGS and Mini-Splatting: a reference point from outside of the papers."""

from firstlight.density import Consistent
from firstlight.fitting import Recipe
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="consistent",
    summary="Only what several views find wrong grows; what no pixel needs goes. At most 0.4 million.",
    paper="in the manner of FastGS (Ren et al. 2025) and Mini-Splatting (Fang and Wang 2024)",
    start=PointsOrRandom(),
    density=Consistent(),
)
