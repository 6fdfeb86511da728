"""What ``firstlight fit`` uses for a dozen photos or fewer: the default's forms for few views."""

from dataclasses import replace

from firstlight.density import Mcmc
from firstlight.fitting import NeedlePenalty, OpacityPenalty, Photometric, Recipe, ScalePenalty
from firstlight.recipes.rates import SHORT
from firstlight.starts import CloudAndPoints

LOSSES = (Photometric(), OpacityPenalty(0.01), ScalePenalty(0.01))

# Three photos of fox, fern, fountain and banana at 320 pixels, 400 steps, one seed, held-out PSNR: 20.9 dB
# (at the rates and picture sizes for many photos, as all in this paragraph).
# With stereo's points alone 20.6, with sparse points alone 20.5, these with 40,000 Gaussians, no dropout
# and degree 3 19.9, instantsplat 20.3, 3DGS 16.7, with dropout 16.0. Of both kinds of points, as stereo
# finds next to nothing on banana's bare ground (1 dB less without sparse points), and sparse points miss
# fern's leaves (1.8 dB less without stereo).
# At 640 pixels three photos of fern, fountain, fox and davis-train, cameras known, gave 18.9 dB in 500 steps,
# half of them at half size, and 18.8 in 2,000: three photos are soon learnt by heart. With cameras from the
# three photos and scales and rotations at twice, three times, four times and eight times the rates of longer
# fits: fern 22.8, 22.8, 22.5 and 21.2; fountain 16.9, 18.0, 19.0 and 16.9. Points at guessed depths where
# stereo found none cost fountain 1.7 dB: they are a fog before what the other photos show.
# Means at half the rate of longer fits, and the noise with them: three photos at 320 pixels, cameras known,
# gain 0.65 dB on fountain and 0.3 on banana (four seeds), lose 0.2 on fox (two) and on kitchen (one). A
# quarter of the rate, at 480 pixels and two seeds: fountain 0.6 under half, fox the same.
# Growth began with the larger pictures then: two seeds at 480 pixels, 0.8 dB more on fountain, within its
# noise, and the same on fern; smaller counts make the half-size steps shorter.
# Half of the Gaussians of three photos are needles more than five times as long as wide, dots to the
# cameras and stars from the side: with a price on them next to none is. At 240 pixels and 500 steps that
# changes held-out PSNR by +0.9 and -0.2 dB on fountain, 0.0 and 0.0 on fern (seeds 0, 1), +0.5, -0.1, -0.1
# on fox (0 to 2), -0.2 and -0.2 on banana. Six photos say more about depth: there it costs fountain 0.5 dB
# (three seeds) and brings 0.1 on fern and fox (one), and is left out. Since rates cool down it is +0.2 on
# fountain, +0.1 on fox and -0.1 on fern, banana and davis-train (two and three seeds, 240 pixels); with nine
# photos at 160 pixels it costs 0.1 to 0.35.
# Most fog before fountain and fox came from sparse points that stood alone (poses/_lone_points.py). With
# known cameras what is left of it are a few wide, thin Gaussians that one photo sees at its edge. A price on
# those longer than a fifth or two fifths of the way to the nearest camera, six photos, three seeds: +1.3 dB
# at 160 pixels, -0.1 and -0.3 at 240; three photos with cameras unknown at 640 (one seed): -1.0. Left out.
# Nor is leaving out, once fitted, what cameras beside the photos see more than twice as much of as the photos
# do: +0.4, 0.0 and -0.3 dB on three fits of fountain, nothing on fern, fox and davis-train. Nor are scales
# held below two fifths or a fifth of the way to the nearest camera (640 pixels, cameras unknown, two seeds):
# fountain +0.1 and -0.3, fox -0.6 and -1.1, and the fog seen from above and below is the same.
# An exposure for each photo: over five sets and three seeds no better, no worse (docs/default-recipe.md).
# With colours of fern's training photos changed by some 10 %, each in its own way, 24.2 dB with and 24.0
# without (one seed). Photos of a camera that chooses anew each time are what this is for.
# Rates of the means that fade from the first step on, as the papers' do over 30,000, leave a short fit no
# time to get details right. Held until the others cool down, at seven tenths of the rate of before and a
# quarter or third of the noise (it goes with the rate), held-out PSNR, two seeds: three photos, 640 pixels,
# cameras unknown, fern +0.26, fountain -0.1 (within chance); at the full rate fern +0.33, fox +0.2,
# davis-train 0.0, fountain -0.3. Cameras known, 240 pixels: fox +0.3, fern +0.2, banana and fountain +0.1,
# davis-train 0.0. Six photos at 160 pixels (one seed): fountain +0.7, banana +0.4, fern +0.2, fox +0.1,
# davis-train -0.1.
# Before, there were 420 steps, two fifths of them at half size and a fifth at full size, where the above does
# not say otherwise. Three photos of fern at 640 pixels, cameras unknown, two seeds: 640 steps, three fifths
# at half size, have 22.7 dB where those had 22.5, four times as many 22.9, and 700 no more than 640. With a
# fifth or three tenths at full size 22.65 and 22.60, with half the needle penalty 22.6, without 22.75. 700 on
# fountain: 20.2, where 420 had 20.3 and 2,800 have 20.3; with known cameras fox +0.4 (two seeds), fern and
# davis-train +0.1, fountain -0.1 (one). 16,000 dense points instead of 8,000 (420 steps): fern +0.3,
# davis-train +0.1, fox -0.1, fountain -1.0; 12,000: +0.1, +0.1, +0.1, -0.5.
# All that with 640 steps, three fifths of them at half size and a tenth at full size. 840, three tenths of
# them at a quarter, take as long: fern +0.1 (900: +0.13, fox +0.16, davis-train +0.1, fountain -0.1). Four
# times as many bring fern 0.17. Pictures of 60 pixels cost fountain 1.6 dB: see ``fitting.pictures.LEAST``.
# All this was judged by held-out photos of these sets, several dozen settings in all: a choice, no proof.
THREE = Recipe(
    name="default",
    summary="Stereo's points and sparse ones, MCMC growth, some Gaussians left out of each step.",
    geometry="stereo",
    start=CloudAndPoints(8_000),
    density=Mcmc(max_gaussians=20_000, noise=3e4, start=12_000),
    losses=(*LOSSES, NeedlePenalty()),
    rates=replace(SHORT, means=4.5e-4, means_final=None, quats=2.4e-2, log_scales=0.12),
    pictures=((0.0, 0.25), (0.3, 0.5), (0.75, 0.8), (0.94, 1.0)),
    dropout=0.2,
    sh_degree=1,
    steps=840,
)

# Six photos at 240 pixels, 500 steps, seeds 0 and 1, means at the rate of longer fits: 60,000 Gaussians
# from 24,000 points have 0.9 dB more on fern and 0.85 on banana than the 20,000 from 8,000 of three photos,
# 0.2 less on fountain and nothing more on fox. At half the rate, as here, fern has 26.5 and 27.0 dB (seeds
# 0 and 1; 27.1 and 27.0 at the full one), fountain 22.1 and 22.0 (seeds 0 and 2; 21.2 and 18.9), fox 21.9
# (seed 2; 21.2); banana was not fitted so. At 640 pixels twice the steps are worth 0.3 dB on fern and
# nothing on fox (one seed).
# Six photos at 240 pixels: with the last fifth at full size fern has 26.1 dB and fountain 21.6, as with three
# quarters of the steps at full size (26.1, 22.1); with none fern has 25.5.
RECIPE = replace(
    THREE,
    start=CloudAndPoints(24_000),
    density=Mcmc(max_gaussians=60_000, noise=3e4),
    losses=LOSSES,
    pictures=((0.0, 0.5), (0.4, 0.8), (0.8, 1.0)),
    steps=500,
    few=THREE,
    few_photos=4,
)
