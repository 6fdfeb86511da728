"""Gaussians of one object from about ten masked photos with poses, to find the object again (SGPose)."""

from firstlight.density import Mcmc
from firstlight.fitting import OpacityPenalty, Outlined, Recipe, ScalePenalty, Silhouette, WarpedViews
from firstlight.recipes.rates import SHORT
from firstlight.starts import MaskCuboid

RECIPE = Recipe(
    name="sgpose",
    summary="One object from masked photos: a random cuboid inside the outlines, views warped by depth.",
    paper="Object Gaussian for Monocular 6D Pose Estimation from Sparse Views (SGPose, 2024)",
    start=MaskCuboid(),
    density=Mcmc(max_gaussians=15_000, noise=1e5),
    losses=(Outlined(), Silhouette(), OpacityPenalty(0.01), ScalePenalty(0.01), WarpedViews()),
    rates=SHORT,
    sh_degree=1,
    exposure=False,
    steps=1000,
    partial="The network that predicts object coordinates, and the smoothness of normals, are not there.",
)
