"""LM-Gaussian: Boost Sparse-view 3D Gaussian Splatting with Large Model Priors (Yu et al. 2024)."""

from firstlight.density import Fixed
from firstlight.fitting import (
    DepthCorrelation,
    NormalTeacher,
    Photometric,
    Rates,
    Recipe,
    RepairedViews,
    StartGuidance,
)
from firstlight.starts import InstantStart

RECIPE = Recipe(
    name="lm-gaussian",
    summary="A dense start that also guides views between the photos; depth and normals held to stereo's.",
    paper="LM-Gaussian: Boost Sparse-view 3DGS with Large Model Priors (Yu et al. 2024)",
    geometry="stereo",
    start=InstantStart(),
    density=Fixed(),
    losses=(Photometric(), DepthCorrelation(), NormalTeacher(), StartGuidance()),
    rates=Rates(means=1e-4, means_final=1e-5, quats=3e-3),
    repair=RepairedViews(),
    partial="Depth and normals are stereo's, not Marigold's; diffusion repairs views only with --repair, by "
    "a model that is not trained on the scene and never ran here with real weights; no video model.",
)
