"""Scenes in the browser, finished or while they train, shared as one file, and filmed."""

from firstlight.view.film import film as film
from firstlight.view.opening import open_scene as open_scene
from firstlight.view.share import Shared as Shared
from firstlight.view.share import share as share
from firstlight.view.viewer import Viewer as Viewer
