"""The nouns that every room shares."""

from firstlight.scene._vector_maths import settle as _settle_vector_maths
from firstlight.scene.cameras import CameraModel as CameraModel
from firstlight.scene.cameras import Cameras as Cameras
from firstlight.scene.cameras import look_at as look_at
from firstlight.scene.cameras import unit_of as unit_of
from firstlight.scene.capture import KEEP_FROM as KEEP_FROM
from firstlight.scene.capture import Capture as Capture
from firstlight.scene.capture import DepthPicture as DepthPicture
from firstlight.scene.capture import HoldOut as HoldOut
from firstlight.scene.capture import Photo as Photo
from firstlight.scene.capture import Picture as Picture
from firstlight.scene.capture import Points as Points
from firstlight.scene.capture import SetAside as SetAside
from firstlight.scene.capture import Split as Split
from firstlight.scene.cloud import Cloud as Cloud
from firstlight.scene.gaussians import Gaussians as Gaussians
from firstlight.scene.similarity import Similarity as Similarity

_settle_vector_maths()
