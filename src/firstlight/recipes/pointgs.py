"""PointGS: Point Attention-Aware Sparse View Synthesis with Gaussian Splatting (2025)."""

from firstlight.density import Fixed
from firstlight.fitting import Rates, Recipe
from firstlight.representations import PointGs
from firstlight.starts import EdgsStart

RECIPE = Recipe(
    name="pointgs",
    summary="A small network decodes each Gaussian from what the photos show there and around.",
    paper="PointGS: Point Attention-Aware Sparse View Synthesis with Gaussian Splatting (arXiv 2506.10335)",
    geometry="stereo",
    start=EdgsStart(count=10_000),
    density=Fixed(),
    representation=PointGs(),
    rates=Rates(network=2e-3, network_final=2e-4),
    sh_degree=1,
    partial="Points are stereo's, not VGGT's, and are not adjusted together with the cameras. How photos are "
    "weighted against each other, and all sizes, are our reading of an abstract.",
)
