"""Dense geometry of photos with cameras: depth maps, clouds of points, dense matches."""

from firstlight.geometry._dense import Geometry as Geometry
from firstlight.geometry._dense import dense_geometry as dense_geometry
from firstlight.geometry._depth_map import DepthMap as DepthMap
from firstlight.geometry._fuse import Cloud as Cloud
from firstlight.geometry._stereo import Effort as Effort
