"""One module a paper: the parts that it combines, and their settings."""

from firstlight.recipes._registry import RECIPES as RECIPES
from firstlight.recipes._registry import get_recipe as get_recipe
