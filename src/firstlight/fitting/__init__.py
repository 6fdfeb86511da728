"""The loop that turns a start into a scene, and the recipes it follows."""

from firstlight.fitting._adam import VisibleAdam as VisibleAdam
from firstlight.fitting._network_adam import NetworkAdam as NetworkAdam
from firstlight.fitting.alignment import align_cameras as align_cameras
from firstlight.fitting.cameras import CameraRefinement as CameraRefinement
from firstlight.fitting.loop import Fit as Fit
from firstlight.fitting.loop import Fitted as Fitted
from firstlight.fitting.loop import fit_gaussians as fit_gaussians
from firstlight.fitting.memory import peak_memory_mb as peak_memory_mb
from firstlight.fitting.model import DecodedModel as DecodedModel
from firstlight.fitting.model import Model as Model
from firstlight.fitting.model import PlainModel as PlainModel
from firstlight.fitting.model import Representation as Representation
from firstlight.fitting.multi_scale import MultiScale as MultiScale
from firstlight.fitting.outlines import Outlined as Outlined
from firstlight.fitting.outlines import Silhouette as Silhouette
from firstlight.fitting.recipe import Rates as Rates
from firstlight.fitting.recipe import Recipe as Recipe
from firstlight.fitting.terms import DepthTeacher as DepthTeacher
from firstlight.fitting.terms import OpacityPenalty as OpacityPenalty
from firstlight.fitting.terms import Photometric as Photometric
from firstlight.fitting.terms import ScalePenalty as ScalePenalty
from firstlight.fitting.terms import SurfaceAlignment as SurfaceAlignment
from firstlight.fitting.terms import Term as Term
from firstlight.fitting.terms import View as View
from firstlight.fitting.transients import WithoutTransients as WithoutTransients
from firstlight.fitting.warped_views import WarpedViews as WarpedViews
