"""Scenes in the browser, finished or while they train."""

from firstlight.view.opening import open_scene as open_scene
from firstlight.view.viewer import Viewer as Viewer
