"""Readers: a path → a `Capture`."""

from firstlight.capture._colmap import cameras_from_reconstruction as cameras_from_reconstruction
from firstlight.capture._colmap import points_from_reconstruction as points_from_reconstruction
from firstlight.capture._colmap import read_reconstruction as read_reconstruction
from firstlight.capture._demo import load_demo as load_demo
from firstlight.capture._demo import load_demo_path as load_demo_path
from firstlight.capture._load import MAX_VIDEO_FRAMES as MAX_VIDEO_FRAMES
from firstlight.capture._load import load as load
from firstlight.capture._load import load_photo as load_photo
from firstlight.capture._load import place_of as place_of
