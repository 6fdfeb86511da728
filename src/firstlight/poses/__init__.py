"""Where the photos were taken: structure from motion, undistortion, and what is kept of them."""

from firstlight.poses._estimate import estimate as estimate
from firstlight.poses._placed import Method as Method
from firstlight.poses._placed import Placed as Placed
from firstlight.poses._placed import Verdict as Verdict
from firstlight.poses._upright import upright as upright
