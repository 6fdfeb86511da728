"""3D Gaussian Splatting as Markov Chain Monte Carlo (Kheradmand et al. 2024)."""

from firstlight.density import Mcmc
from firstlight.fitting import OpacityPenalty, Photometric, Recipe, ScalePenalty
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="mcmc",
    summary="Noise on the means, dead Gaussians moved to live ones, growth to a fixed count.",
    paper="3D Gaussian Splatting as Markov Chain Monte Carlo (Kheradmand et al. 2024)",
    start=PointsOrRandom(opacity=0.5, scale=0.1),
    density=Mcmc(),
    losses=(Photometric(), OpacityPenalty(0.01), ScalePenalty(0.01)),
)
