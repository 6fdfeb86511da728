"""What ``firstlight fit`` uses for a dozen photos or fewer: the default's form for few views."""

from dataclasses import replace

from firstlight.density import Mcmc
from firstlight.fitting import OpacityPenalty, Photometric, Recipe, ScalePenalty
from firstlight.recipes.rates import SHORT
from firstlight.starts import CloudAndPoints

# Three photos of fox, fern, fountain and banana at 320 pixels, 400 steps, one seed, held-out PSNR: 20.9 dB.
# With stereo's points alone 20.6, with sparse points alone 20.5, these with 40,000 Gaussians, no dropout
# and degree 3 19.9, instantsplat 20.3, 3DGS 16.7, with dropout 16.0. Of both kinds of points, as stereo
# finds next to nothing on banana's bare ground (1 dB less without sparse points), and sparse points miss
# fern's leaves (1.8 dB less without stereo).
# At 640 pixels three photos of fern, fountain, fox and davis-train, cameras known, gave 18.9 dB in 500 steps,
# half of them at half size, and 18.8 in 2,000: three photos are soon learnt by heart. Scales and rotations
# at twice the rates of longer fits gave 19.3 (fountain 1.1 and fox 0.6 dB more, the others the same).
RECIPE = Recipe(
    name="default",
    summary="Stereo's points and sparse ones, MCMC growth, some Gaussians left out of each step.",
    geometry="stereo",
    start=CloudAndPoints(),
    density=Mcmc(max_gaussians=20_000, noise=1e5),
    losses=(Photometric(), OpacityPenalty(0.01), ScalePenalty(0.01)),
    rates=replace(SHORT, quats=1.6e-2, log_scales=8e-2),
    pictures=((0.0, 0.5), (0.5, 1.0)),
    dropout=0.2,
    sh_degree=1,
    steps=500,
)
