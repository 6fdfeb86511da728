"""Dense geometry of photos with cameras: depth maps that agree with each other, and one cloud of points.

There is no dense matcher for photos without cameras (DKM, Edstedt et al. 2023): without trained networks it
placed no more photos than SIFT. Between photos with cameras, stereo matches along epipolar lines.
"""

from firstlight.geometry._densify import Geometry as Geometry
from firstlight.geometry._densify import Source as Source
from firstlight.geometry._densify import Stereo as Stereo
from firstlight.geometry._densify import densify as densify
from firstlight.geometry._densify import find_geometry as find_geometry
from firstlight.geometry._depth_map import DepthMap as DepthMap
from firstlight.geometry._files import GEOMETRY_FILE as GEOMETRY_FILE
from firstlight.geometry._files import load_geometry as load_geometry
from firstlight.geometry._files import save_geometry as save_geometry
from firstlight.geometry._multiview import MultiView as MultiView
from firstlight.geometry._providers import PROVIDERS as PROVIDERS
from firstlight.geometry._providers import Provider as Provider
from firstlight.geometry._providers import get_provider as get_provider
from firstlight.geometry._providers import weights_for as weights_for
from firstlight.geometry._stereo import Effort as Effort
