"""What ``firstlight fit`` uses when it is not told otherwise."""

from firstlight.density import Mcmc
from firstlight.fitting import OpacityPenalty, Photometric, Recipe, ScalePenalty
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="default",
    summary="Sparse points, MCMC growth to a count that two cores can carry, coarse-to-fine pictures.",
    start=PointsOrRandom(),
    density=Mcmc(),
    losses=(Photometric(), OpacityPenalty(0.01), ScalePenalty(0.01)),
    pictures=((0.0, 0.25), (0.15, 0.5), (0.45, 1.0)),
)
