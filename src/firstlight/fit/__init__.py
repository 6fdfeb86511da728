"""The loop that turns a start into a scene, and the recipes it follows."""

from firstlight.fit.loop import Fit as Fit
from firstlight.fit.loop import Fitted as Fitted
from firstlight.fit.loop import fit_gaussians as fit_gaussians
from firstlight.fit.memory import peak_memory_mb as peak_memory_mb
from firstlight.fit.recipe import Rates as Rates
from firstlight.fit.recipe import Recipe as Recipe
from firstlight.fit.terms import OpacityPenalty as OpacityPenalty
from firstlight.fit.terms import Photometric as Photometric
from firstlight.fit.terms import ScalePenalty as ScalePenalty
from firstlight.fit.terms import Term as Term
from firstlight.fit.terms import View as View
