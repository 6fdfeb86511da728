"""The start of CoherentGS (Paliwal et al. 2024), without its decoder: a Gaussian for each pixel."""

from firstlight.density import Fixed
from firstlight.fitting import Recipe
from firstlight.starts import PixelStart

RECIPE = Recipe(
    name="coherentgs-start",
    summary="A Gaussian for each pixel of each photo, on its ray, at the depth of the photo's own map.",
    paper="CoherentGS: Sparse Novel View Synthesis with Coherent 3D Gaussians (Paliwal et al. 2024)",
    geometry="stereo",
    start=PixelStart(),
    density=Fixed(),
    partial="The start alone: Gaussians are then free, and depth is stereo's, not monocular.",
)
