"""Does Gaussian Splatting need SFM Initialization? (Foroutan et al. 2024): a large random start."""

from firstlight.density import Vanilla
from firstlight.fitting import Recipe
from firstlight.starts import RandomBox

RECIPE = Recipe(
    name="random",
    summary="3DGS from random Gaussians in a cube three times as large as the cameras' reach.",
    paper="Does Gaussian Splatting need SFM Initialization? (Foroutan et al. 2024)",
    start=RandomBox(radius=3.0),
    density=Vanilla(),
    partial="Colours are those that the photos have there, not drawn at random.",
)
