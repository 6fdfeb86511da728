"""Several recipes on the same photos, poses, split and seeds: one honest table."""

from firstlight.comparison._compare import compare as compare
from firstlight.comparison._plan import Plan as Plan
from firstlight.comparison._plan import Trial as Trial
from firstlight.comparison._plan import plan_of as plan_of
from firstlight.comparison._results import COLUMNS as COLUMNS
from firstlight.comparison._results import SEEN_WORDS as SEEN_WORDS
from firstlight.comparison._results import Column as Column
from firstlight.comparison._results import Comparison as Comparison
from firstlight.comparison._results import Row as Row
from firstlight.comparison._results import Spread as Spread
