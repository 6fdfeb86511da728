"""What ``firstlight fit`` uses when it is not told otherwise: a few minutes on two cores."""

from firstlight.density import Mcmc
from firstlight.fitting import OpacityPenalty, Photometric, Recipe, ScalePenalty
from firstlight.recipes import few
from firstlight.recipes.rates import SHORT
from firstlight.starts import CloudAndPoints

# 240 pixels, 500 steps, one seed, held-out PSNR: fox (43 photos train) 29.0 dB, 26.4 from sparse points
# alone; kitchen (21 photos) 18.9 and 18.4, with 20,000 Gaussians from both, 40,000 from sparse points.
# Stereo's seconds are what half as many Gaussians save. At 480 pixels and 1,000 steps 40,000 from both gain
# 0.2 dB on fox in 1.4 times the time of the fit; 8,000 points of stereo in the place of 12,000 lose 0.3.
# 20,000 is where growth ends; a start with more sparse points than that has more (fox with its own cameras:
# 35,040).
RECIPE = Recipe(
    name="default",
    summary="Stereo's points and sparse ones, MCMC growth to what two cores can carry; its own settings for "
    "few photos.",
    geometry="stereo",
    start=CloudAndPoints(12_000),
    density=Mcmc(max_gaussians=20_000, noise=1e5),
    losses=(Photometric(), OpacityPenalty(0.01), ScalePenalty(0.01)),
    rates=SHORT,
    pictures=((0.0, 0.5), (0.25, 1.0)),
    steps=1500,
    few=few.RECIPE,
)
