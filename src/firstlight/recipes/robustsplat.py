"""RobustSplat: Decoupling Densification and Dynamics for Transient-Free 3DGS (Fu et al. 2025).

Resets come so rarely here that there are none, and with them goes the removal of long Gaussians, which 3DGS
begins after the first one.
"""

from firstlight.density import Vanilla
from firstlight.fitting import Rates, Recipe, WithoutTransients
from firstlight.starts import PointsOrRandom

RECIPE = Recipe(
    name="robustsplat",
    summary="People and cars that pass by are left out: a mask learned on the way, and growth only late.",
    paper="RobustSplat: Decoupling Densification and Dynamics for Transient-Free 3DGS (Fu et al. 2025)",
    start=PointsOrRandom(),
    # Growing early is what fits passers-by. Opacities are not reset: in a short fit that comes once at most.
    density=Vanilla(start=10_000, stop=20_000, reset_every=30_000),
    losses=(WithoutTransients(),),
    rates=Rates(logit_opacities=0.025),
    partial="Opacities are never reset.",
)
