"""Where the photos were taken: structure from motion, undistortion, and what is kept of them."""

from firstlight.poses._against import place_against as place_against
from firstlight.poses._estimate import estimate as estimate
from firstlight.poses._estimate import given as given
from firstlight.poses._features import Features as Features
from firstlight.poses._features import Matcher as Matcher
from firstlight.poses._files import PLACED_FILE as PLACED_FILE
from firstlight.poses._files import load_placed as load_placed
from firstlight.poses._files import save_placed as save_placed
from firstlight.poses._files import save_poses as save_poses
from firstlight.poses._guess import Guess as Guess
from firstlight.poses._ladder import structure_from_motion as structure_from_motion
from firstlight.poses._lightglue import LightGlued as LightGlued
from firstlight.poses._matchers import MATCHERS as MATCHERS
from firstlight.poses._matchers import get_matcher as get_matcher
from firstlight.poses._placed import Method as Method
from firstlight.poses._placed import Placed as Placed
from firstlight.poses._placed import Verdict as Verdict
from firstlight.poses._placed import refined as refined
from firstlight.poses._resection import Resected as Resected
from firstlight.poses._resection import resect as resect
from firstlight.poses._sift import Sift as Sift
from firstlight.poses._undistort import undistort as undistort
from firstlight.poses._upright import upright as upright
from firstlight.poses._xfeat import Xfeat as Xfeat
