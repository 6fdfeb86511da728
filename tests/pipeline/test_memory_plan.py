"""What a run is said to need, and what runs need."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from firstlight.fitting.memory import peak_memory_mb
from firstlight.pipeline.memory_plan import MemoryPlan, gaussians_of, plan_memory, told, usable_memory_mb
from firstlight.recipes import RECIPES, get_recipe
from firstlight.scene import Photo
from firstlight.scene.capture import Picture

OFF = 1.4  # times: how far the plan may be from what was needed

# Few photos with their geometry, photos whose cameras are found, and many Gaussians at once.
RUNS = {
    "few": "fit(photos.select([6, 8, 10, 12]), steps=60, max_size=96)",
    "cameras": "fit(load_demo().select(range(6, 11)), steps=4, max_size=64)",
    "gaussians": "fit(photos, many, steps=4, max_size=400)",
}
PROGRAM = """
import json, sys
from dataclasses import replace
from firstlight.capture import load_demo
from firstlight.pipeline import fit as plain
from firstlight.recipes import get_recipe
from firstlight.starts import RandomBox
photos = load_demo(with_cameras=True)
many = replace(get_recipe("vanilla"), start=RandomBox(200_000))
fit = lambda *args, **options: plain(*args, out=sys.argv[1], **options)
print(json.dumps({run}.summary))
"""


@pytest.mark.skipif(peak_memory_mb() != peak_memory_mb(), reason="this system does not tell peaks")
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_the_plan_is_near_what_is_needed(run: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM.replace("{run}", run), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout.splitlines()[-1])
    planned, peak = summary["memory_planned_mb"], summary["peak_memory_mb"]
    assert peak / OFF < planned < peak * OFF, f"{planned} MB planned, {peak} MB needed"


def photos(count: int, width: int = 1008, height: int = 756) -> list[Photo]:
    def decode() -> Picture:
        raise AssertionError("a plan looks at no photo")

    return [Photo(f"{i}.jpg", width, height, decode) for i in range(count)]


def test_more_of_anything_needs_more() -> None:
    recipe = get_recipe("default").for_photos(3)
    least = plan_memory(photos(3), [0, 1, 2], recipe, posed=False)
    assert plan_memory(photos(3, 4000, 3000), [0, 1, 2], recipe, posed=False).cameras > least.cameras
    assert plan_memory(photos(9), list(range(9)), recipe, posed=False).fit > least.fit
    assert plan_memory(photos(3), [0, 1, 2], recipe.limited(10**6), posed=False).fit > 10 * least.fit
    larger = replace(recipe, max_size=1008, geometry_size=1008)
    assert plan_memory(photos(3), [0, 1, 2], larger, posed=False).geometry > least.geometry
    assert plan_memory(photos(3), [0, 1, 2], larger, posed=False).numbers > least.numbers
    assert plan_memory(photos(3), [0, 1, 2], recipe, posed=True).cameras == 0.0


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda r: r.name)
def test_every_recipe_can_be_planned(recipe) -> None:
    assert gaussians_of(recipe) > 0
    assert plan_memory(photos(40), list(range(35)), recipe, posed=False).total < 5000


def test_too_little_memory_is_said_with_a_way_out() -> None:
    plan = MemoryPlan(cameras=300.0, geometry=100.0, fit=9000.0, numbers=50.0)
    line, warning, way_out = told(plan, 4000.0, compiling=False)
    assert "9.6 GB" in line and "4.0 GB are free" in line
    assert "Too little" in warning and "--max-gaussians" in way_out
    cameras = told(replace(plan, cameras=9500.0), 4000.0, compiling=False)[-1]
    assert "--quality" not in cameras, "cameras are found in photos of their own size"
    assert len(told(plan, 20_000.0, compiling=False)) == 1
    assert len(told(plan, 10_000.0, compiling=True)) == 3
    assert len(told(plan, None, compiling=False)) == 1, "nothing to compare with"


def test_usable_memory_is_known_or_not() -> None:
    usable = usable_memory_mb()
    assert usable is None or 0 <= usable < 1e8
