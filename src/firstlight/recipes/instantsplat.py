"""InstantSplat: Unbounded Sparse-view Pose-free Gaussian Splatting in 40 Seconds (Fan et al. 2024)."""

from firstlight.density import Fixed
from firstlight.fitting import CameraRefinement, Rates, Recipe
from firstlight.starts import InstantStart

RECIPE = Recipe(
    name="instantsplat",
    summary="A Gaussian for each pixel that no surer photo shows; few steps, no growth, cameras move along.",
    paper="InstantSplat: Unbounded Sparse-view Pose-free Gaussian Splatting in 40 Seconds (Fan et al. 2024)",
    geometry="stereo",
    start=InstantStart(),
    density=Fixed(),
    cameras=CameraRefinement(),
    steps=1000,
    rates=Rates(quats=1e-2, log_scales=5e-2, sh=2.5e-2, sh_rest=1.25e-3),
    sh_degree=0,  # the paper's next degree would come after its 1,000 steps
    partial="Depth is firstlight's stereo, not pretrained MASt3R's; uncertain points do not move faster. "
    "Cameras move faster than the paper's, from a twentieth of the steps on, and are drawn back a little.",
)
