"""What a fit can optimise in the place of plain Gaussians, one module a method."""

from firstlight.representations.coherentgs import CoherentGs as CoherentGs
from firstlight.representations.gaussianforest import ForestModel as ForestModel
from firstlight.representations.gaussianforest import Trees as Trees
from firstlight.representations.pointgs import PointGs as PointGs
from firstlight.representations.protogs import PrototypeModel as PrototypeModel
from firstlight.representations.protogs import Prototypes as Prototypes
from firstlight.representations.protogs import painted as painted
