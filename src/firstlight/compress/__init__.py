"""Scenes that travel light: what is seen least is rounded most, and the rest is entropy coded."""

from firstlight.compress._cameras import cameras_around as cameras_around
from firstlight.compress._cameras import cameras_of_run as cameras_of_run
from firstlight.compress._search import Compressed as Compressed
from firstlight.compress._search import Point as Point
from firstlight.compress._search import compress as compress
from firstlight.compress._search import compress_file as compress_file
from firstlight.compress._search import encode_at as encode_at
from firstlight.compress._search import size_in_words as size_in_words
from firstlight.compress._seen import Sensitivity as Sensitivity
from firstlight.compress._seen import measure_sensitivity as measure_sensitivity
