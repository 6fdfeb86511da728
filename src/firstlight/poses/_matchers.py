"""The matchers that there are, by name."""

from __future__ import annotations

from firstlight.errors import InputError
from firstlight.poses._backed import Backed
from firstlight.poses._features import Matcher
from firstlight.poses._lightglue import LightGlued
from firstlight.poses._sift import Sift
from firstlight.poses._xfeat import Xfeat

MATCHERS: dict[str, Matcher] = {
    "sift": Sift(),
    "xfeat": Xfeat(),
    "aliked": LightGlued("aliked"),
    "disk": LightGlued("disk"),
    "sift+aliked": Backed(Sift(), LightGlued("aliked", count=1024)),
}


def get_matcher(name: str) -> Matcher:
    """The matcher called ``name``. InputError when there is none, naming those that there are."""
    if name not in MATCHERS:
        raise InputError(f"No matcher is called '{name}'. There are: {', '.join(MATCHERS)}.")
    return MATCHERS[name]
