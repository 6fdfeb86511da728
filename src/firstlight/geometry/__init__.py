"""Dense geometry of photos with cameras: depth maps that agree with each other, and one cloud of points."""

from firstlight.geometry._densify import Geometry as Geometry
from firstlight.geometry._densify import Source as Source
from firstlight.geometry._densify import Stereo as Stereo
from firstlight.geometry._densify import densify as densify
from firstlight.geometry._densify import find_geometry as find_geometry
from firstlight.geometry._depth_map import DepthMap as DepthMap
from firstlight.geometry._stereo import Effort as Effort
