"""GDGS: 3D Gaussian Splatting via Geometry-Guided Initialization and Dynamic Density Control (2025)."""

from firstlight.density import Complexity
from firstlight.fitting import Photometric, Recipe, SurfaceAlignment
from firstlight.starts import GuidedStart

RECIPE = Recipe(
    name="gdgs",
    summary="Flat Gaussians in the planes of the sparse points, kept flat; more of them where it is complex.",
    paper="GDGS: 3DGS via Geometry-Guided Initialization and Dynamic Density Control (2025)",
    start=GuidedStart(),
    density=Complexity(),
    losses=(Photometric(), SurfaceAlignment()),
    partial="Built from the abstract: no code or numbers of the authors were found.",
)
