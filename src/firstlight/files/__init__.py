"""Scenes on disk: one file a format, each with read and, where it makes sense, write."""

from firstlight.files._convert import convert as convert
from firstlight.files._convert import describe as describe
from firstlight.files._flz import FlzSteps as FlzSteps
from firstlight.files._flz import Seen as Seen
from firstlight.files._flz import decode_flz as decode_flz
from firstlight.files._flz import encode_flz as encode_flz
from firstlight.files._forest import FOREST_FILE as FOREST_FILE
from firstlight.files._forest import load_forest as load_forest
from firstlight.files._forest import write_forest as write_forest
from firstlight.files._formats import FORMATS as FORMATS
from firstlight.files._formats import Format as Format
from firstlight.files._formats import format_of as format_of
from firstlight.files._formats import load_gaussians as load_gaussians
from firstlight.files._formats import save_gaussians as save_gaussians
from firstlight.files._formats import scene_file as scene_file
from firstlight.files.alone import alone_in as alone_in
from firstlight.files.atomic import atomic_write as atomic_write
