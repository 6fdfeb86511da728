"""Pictures of views that nobody photographed, made more like photos by a pretrained diffusion model."""

from firstlight.repair._providers import REPAIRERS as REPAIRERS
from firstlight.repair._providers import Repairer as Repairer
from firstlight.repair._providers import get_repairer as get_repairer
from firstlight.repair._providers import weights_for as weights_for
