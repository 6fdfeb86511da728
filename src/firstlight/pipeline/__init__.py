"""The whole way from photos to a run folder."""

from firstlight.pipeline.machine import cores as cores
from firstlight.pipeline.machine import machine as machine
from firstlight.pipeline.machine import package_version as package_version
from firstlight.pipeline.machine import versions as versions
from firstlight.pipeline.objects import pose_object as pose_object
from firstlight.pipeline.options import Options as Options
from firstlight.pipeline.options import PosedBy as PosedBy
from firstlight.pipeline.options import as_hold_out as as_hold_out
from firstlight.pipeline.options import check_max_size as check_max_size
from firstlight.pipeline.options import check_seed as check_seed
from firstlight.pipeline.photos import check_photos as check_photos
from firstlight.pipeline.photos import find_cameras as find_cameras
from firstlight.pipeline.photos import prepare as prepare
from firstlight.pipeline.photos import split_placed as split_placed
from firstlight.pipeline.run_folder import Run as Run
from firstlight.pipeline.run_folder import new_folder as new_folder
from firstlight.pipeline.stages import evaluate as evaluate
from firstlight.pipeline.stages import fit as fit
from firstlight.pipeline.stages import resumable as resumable
from firstlight.pipeline.stages import resume as resume
