"""Learning rates for fits of a thousand steps or two."""

from firstlight.fitting import Rates

# The papers' rates are for 30,000 steps; in 1,500, Gaussians would not get where they belong. On the demo at
# 240 pixels, 700 steps and 15,000 Gaussians: 19.5 dB held out at the papers' rates, 20.7 at twice, 21.4 at
# four times and 22.1 at eight times these. Noise goes with the rate of the means, so it is kept near the
# paper's strength. Vanilla density control gave 19.1, and 20.1 at twice the rates. One seed, some twenty
# settings, judged by the demo's held-out photos: a choice, no proof.
# At such rates Gaussians tremble to the end. Rates that fade from the first step on cost 1 dB there; rates
# that hold, and cool down over the last 40 %, gain: six photos at 240 pixels, 500 steps, seed 0, fox 21.5 to
# 22.3 dB, fern 26.5 to 27.4, banana 27.6 to 28.0; over the last 20, 30 and 50 % within 0.25 of that. Over the
# last 30 %: fountain, whose seeds differ by 1 dB, 22.1 to 21.3; all of fox's photos 28.7 to 29.9; three
# photos at 480 pixels, fountain +0.8, davis-train +0.3, redkitchen +0.3. Three photos at 240 pixels, over
# 40 %: banana and fern +0.3, the demo +0.1, fox and fountain -0.3.
# Adam's second moment with 0.99 in the place of 0.999 brought 0.2 dB on fox and 0.3 on fern with six photos,
# nothing on banana; with three 0.1 on redkitchen, -0.4 on fox: not taken.
SHORT = Rates(
    means=1.28e-3,
    means_final=1.28e-5,
    quats=8e-3,
    log_scales=4e-2,
    sh=2e-2,
    sh_rest=1e-3,
    cooldown=0.4,
)
