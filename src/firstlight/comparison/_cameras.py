"""The cameras that trials share: those of all photos, or for each number of views those of its own photos."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from firstlight.comparison._plan import Plan
from firstlight.errors import InputError
from firstlight.pipeline import find_cameras, split_placed
from firstlight.poses import PLACED_FILE, Placed, given, load_placed, save_placed
from firstlight.progress import Progress
from firstlight.scene import Capture, Split

_SECONDS = "pose_seconds.txt"


@dataclass(frozen=True, eq=False)
class Shared:
    """What all trials of one number of views have in common."""

    capture: Capture  # the photos that have cameras; all of them, without cameras, where these are not found
    split: Split  # of the capture
    seconds: float  # it took to find the cameras
    reason: str = ""  # why they were not found; "": they were


def cameras_folder(folder: Path, plan: Plan, views: int | None) -> Path:
    """Where the cameras of that many views are kept, in the folder of the comparison."""
    return folder if plan.poses == "all" else folder / "poses" / str(views or "all")


def check_enough(plan: Plan, source: Capture) -> None:
    """InputError when there are too few photos for a number of views, or to hold one out."""
    for views in plan.views:
        source.split(plan.hold_out, views)
    if not source.split(plan.hold_out).test:
        raise InputError(
            f"{plan.photos}: {len(source)} photos, of which none can be held out to compare with. "
            "Give four or more."
        )


def share_cameras(folder: Path, plan: Plan, source: Capture, progress: Progress) -> dict[int | None, Shared]:
    """For each number of views, found by an earlier start of this comparison or now.

    InputError when cameras cannot be found with every photo. Where each number of views finds its own, those
    that cannot say why.
    """
    if plan.poses == "all":
        placed, seconds = _placed(folder, source, None, plan.matcher, progress)
        return {views: _shared(placed, source, plan, views, seconds) for views in plan.views}
    splits = {views: source.split(plan.hold_out, views) for views in plan.views}
    return {views: _alone(folder, plan, source, views, split, progress) for views, split in splits.items()}


def _alone(
    folder: Path, plan: Plan, source: Capture, views: int | None, split: Split, progress: Progress
) -> Shared:
    """Of the training photos alone, against which the held-out ones are placed."""
    began = time.perf_counter()
    try:
        where = cameras_folder(folder, plan, views)
        placed, seconds = _placed(where, source, split, plan.matcher, progress)
        shared = _shared(placed, source, plan, views, seconds)
        if split.test and not shared.split.test:
            raise InputError("No held-out photo could be placed against the training photos.")
    except InputError as error:
        progress.note(f"{views or 'all'} views: {error}")
        return Shared(source, split, round(time.perf_counter() - began, 2), f"no cameras: {error}")
    return shared


def _shared(placed: Placed, source: Capture, plan: Plan, views: int | None, seconds: float) -> Shared:
    split = split_placed(placed.capture, source, plan.hold_out, views, plan.poses)
    return Shared(placed.capture, split, seconds)


def _placed(
    folder: Path, source: Capture, alone: Split | None, matcher: str, progress: Progress
) -> tuple[Placed, float]:
    """The cameras that ``folder`` keeps and the seconds they took; otherwise they are found now."""
    kept = folder / _SECONDS
    if (folder / PLACED_FILE).exists() and kept.exists():
        return load_placed(folder, source), float(kept.read_text())
    began = time.perf_counter()
    if source.posed:
        placed = given(source)
    else:
        placed = find_cameras(source, alone, matcher=matcher, progress=progress)
    seconds = round(time.perf_counter() - began, 2)
    folder.mkdir(parents=True, exist_ok=True)
    save_placed(folder, placed)
    kept.write_text(f"{seconds}\n")
    return placed, seconds


def came_with_photos(folder: Path, plan: Plan) -> bool:
    """Whether the cameras that a comparison keeps are those that its photos came with."""
    for views in plan.views:
        path = cameras_folder(folder, plan, views) / "poses.json"
        if path.is_file():
            return str(json.loads(path.read_text()).get("method")).startswith("cameras from ")
    return False
