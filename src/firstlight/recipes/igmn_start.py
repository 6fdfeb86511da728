"""A start by Fast IGMN (Pinto and Engel 2015), then 3DGS."""

from firstlight.density import Vanilla
from firstlight.fitting import Recipe
from firstlight.starts import IgmnStart

RECIPE = Recipe(
    name="igmn-start",
    summary="3DGS from the components of a mixture that learns the points in one pass.",
    paper="A Fast Incremental Gaussian Mixture Model (Pinto and Engel 2015)",
    start=IgmnStart(),
    density=Vanilla(),
    partial="Old, light components are not pruned: a point that stands alone is part of the scene.",
)
