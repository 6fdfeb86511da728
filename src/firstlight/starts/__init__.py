"""Where the first Gaussians stand: one module a method, each a ``Capture`` → ``Gaussians``."""

from firstlight.starts._thinning import thinned_out as thinned_out
from firstlight.starts.dense import CloudAndPoints as CloudAndPoints
from firstlight.starts.dense import CloudStart as CloudStart
from firstlight.starts.dense import EdgsStart as EdgsStart
from firstlight.starts.dense import InstantStart as InstantStart
from firstlight.starts.gp import GpStart as GpStart
from firstlight.starts.guided import GuidedStart as GuidedStart
from firstlight.starts.igmn import IgmnStart as IgmnStart
from firstlight.starts.mask_cuboid import MaskCuboid as MaskCuboid
from firstlight.starts.mask_cuboid import outline as outline
from firstlight.starts.pixelwise import PixelGrid as PixelGrid
from firstlight.starts.pixelwise import PixelStart as PixelStart
from firstlight.starts.pixelwise import opacity_for as opacity_for
from firstlight.starts.pixelwise import pixel_grids as pixel_grids
from firstlight.starts.points_or_random import PointsOrRandom as PointsOrRandom
from firstlight.starts.random_box import RandomBox as RandomBox
from firstlight.starts.random_box import viewing_distances as viewing_distances
from firstlight.starts.sfm_points import SfmPoints as SfmPoints
