"""CoherentGS: Sparse Novel View Synthesis with Coherent 3D Gaussians (Paliwal et al. 2024)."""

from firstlight.density import Fixed
from firstlight.fitting import MultiScale, Rates, Recipe
from firstlight.representations import CoherentGs
from firstlight.starts import PixelStart

RECIPE = Recipe(
    name="coherentgs",
    summary="A Gaussian for each pixel, moving on its ray as a decoder that all pixels share says.",
    paper="CoherentGS: Sparse Novel View Synthesis with Coherent 3D Gaussians (Paliwal et al. 2024)",
    geometry="stereo",
    start=PixelStart(),
    density=Fixed(),
    representation=CoherentGs(),
    losses=(MultiScale(),),
    rates=Rates(network=1e-3, network_final=1e-4, quats=1e-4, log_scales=1e-3, sh_rest=2.5e-4),
    sh_degree=1,
    sh_every=0.5,
    partial="What no photo saw is not painted in. Depth is stereo's, which needs no aligning between photos, "
    "not monocular. No loss on VGG features, no supersampling, no bilateral filter of depth. Decoders reach "
    "less far and learn faster than the authors', and rates are those of a short fit.",
)
