"""Where an object of a scene is in a new photo."""

from firstlight.objects._model import ObjectModel as ObjectModel
from firstlight.objects._model import ObjectPose as ObjectPose
from firstlight.objects._views import views_around as views_around
