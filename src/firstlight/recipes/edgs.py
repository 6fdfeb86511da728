"""EDGS: Eliminating Densification for Efficient Convergence of 3DGS (Kotovenko et al. 2025)."""

from firstlight.density import Fading
from firstlight.fitting import Rates, Recipe
from firstlight.starts import EdgsStart

# The paper's rate of the means begins where 3DGS's is after 8,000 of 30,000 steps.
LATE = 0.01 ** (8 / 30)

RECIPE = Recipe(
    name="edgs",
    summary="As many triangulated dense matches as the scene shall have Gaussians; nothing grows.",
    paper="EDGS: Eliminating Densification for Efficient Convergence of 3DGS (Kotovenko et al. 2025)",
    geometry="stereo",
    start=EdgsStart(),
    density=Fading(),
    rates=Rates(means=1.6e-4 * LATE, logit_opacities=0.025),
    partial="Matches come from firstlight's stereo, not from the paper's pretrained RoMa.",
)
