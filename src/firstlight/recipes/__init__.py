"""One module a paper: the parts that it combines, and their settings."""

from firstlight.recipes._registry import RECIPES as RECIPES
from firstlight.recipes._registry import get_recipe as get_recipe
from firstlight.recipes._status import Status as Status
from firstlight.recipes._status import status as status
from firstlight.recipes.quality import QUALITIES as QUALITIES
from firstlight.recipes.quality import STANDARD as STANDARD
from firstlight.recipes.quality import at_quality as at_quality
from firstlight.recipes.quality import budget as budget
