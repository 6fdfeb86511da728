"""One module a paper: the parts that it combines, and their settings."""

from firstlight.recipes._registry import RECIPES as RECIPES
from firstlight.recipes._registry import get_recipe as get_recipe
from firstlight.recipes._status import Status as Status
from firstlight.recipes._status import status as status
