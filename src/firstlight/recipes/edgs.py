"""EDGS: Eliminating Densification for Efficient Convergence of 3DGS (Kotovenko et al. 2025)."""

from firstlight.density import Fading
from firstlight.fitting import Rates, Recipe
from firstlight.starts import EdgsStart

RECIPE = Recipe(
    name="edgs",
    summary="As many triangulated dense matches as the scene shall have Gaussians; nothing grows.",
    paper="EDGS: Eliminating Densification for Efficient Convergence of 3DGS (Kotovenko et al. 2025)",
    geometry="stereo",
    start=EdgsStart(),
    density=Fading(),
    rates=Rates(means_late=8 / 30, logit_opacities=0.025),
    partial="Matches come from firstlight's stereo, not from the paper's pretrained RoMa; the faint are "
    "removed after every tenth step, not after each.",
)
