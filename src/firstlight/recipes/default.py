"""What ``firstlight fit`` uses when it is not told otherwise: a few minutes on two cores."""

from firstlight.density import Mcmc
from firstlight.fitting import OpacityPenalty, Photometric, Recipe, ScalePenalty
from firstlight.recipes import few
from firstlight.recipes.rates import SHORT
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="default",
    summary="Sparse points, MCMC growth to what two cores can carry; stereo's points too for few photos.",
    start=PointsOrRandom(),
    density=Mcmc(max_gaussians=40_000, noise=1e5),
    losses=(Photometric(), OpacityPenalty(0.01), ScalePenalty(0.01)),
    rates=SHORT,
    pictures=((0.0, 0.5), (0.25, 1.0)),
    steps=1500,
    few=few.RECIPE,
)
